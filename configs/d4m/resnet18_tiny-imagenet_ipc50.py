# Tables 2 and 4, Tiny ImageNet. The authors' settings for it are not released: 64 pixels and
# the 3x3 stem are usual for this set.
_base_ = ['../_base_/datasets/tiny_imagenet_real_cls.py', '../_base_/d4m_cls.py']

train_cfg = dict(budget=dict(type='IPC', n=50), writer=dict(folders='wnid'))
measured = [
    'configs/_base_/datasets/tiny_imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_tiny_imagenet.py',
    dict(protocol=dict(schedule=dict(image_size=64))),
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18_cifar.py', *measured],
    students={
        'ResNet-50': ['configs/_base_/models/resnet50_cifar.py', *measured],
        'ResNet-101': ['configs/_base_/models/resnet101_cifar.py', *measured],
    })
