# Table 2, CIFAR-100: whole images. Teacher and student are the same network.
_base_ = ['../_base_/datasets/cifar100_real_cls.py', '../_base_/patch_selection_cls.py']

model = dict(window=None, composition='S', image_size=32)
train_cfg = dict(budget=dict(type='IPC', n=10))
measured = [
    'configs/_base_/datasets/cifar100_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    dict(protocol=dict(schedule=dict(image_size=32, batch_size=100))),
]
evaluation = dict(
    protocol=['configs/_base_/models/convnet3.py', *measured],
    students={
        'ResNet-18': ['configs/_base_/models/resnet18_cifar.py', *measured],
    })
