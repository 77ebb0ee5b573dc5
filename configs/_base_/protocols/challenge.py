# Student of the dataset distillation challenge at ECCV 2024: that of DC and DSA, a ConvNet-3 of
# width 128 whatever the size of the images, mean of three. Composed with a model and a dataset:
#   protocol=['configs/_base_/models/convnet3.py', 'configs/_base_/datasets/cifar100_cls.py',
#             'configs/_base_/protocols/challenge.py']
# Images of 64 pixels need model.head.in_channels=128 * 8 * 8 and protocol.schedule.image_size=64.
_base_ = ['./dc_dsa.py']

protocol = dict(schedule=dict(image_size=32))
