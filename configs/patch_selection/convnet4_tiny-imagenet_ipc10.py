# Table 2, Tiny ImageNet: whole images. Teacher and student are the same network.
_base_ = ['../_base_/datasets/tiny_imagenet_real_cls.py', '../_base_/patch_selection_cls.py']

model = dict(window=None, composition='S', image_size=64)
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
measured = [
    'configs/_base_/datasets/tiny_imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    dict(protocol=dict(schedule=dict(image_size=64, batch_size=100))),
]
evaluation = dict(
    protocol=['configs/_base_/models/convnet4.py', *measured],
    students={
        'ResNet-18': ['configs/_base_/models/resnet18_cifar.py', *measured],
    })
