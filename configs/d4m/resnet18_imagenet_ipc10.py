# Tables 2 to 4, ImageNet-1K. Soft labels of a ResNet-18, stored.
_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/d4m_cls.py']

train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
measured = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py', *measured],
    students={
        'ResNet-50': ['configs/_base_/models/resnet50.py', *measured],
        'ResNet-101': ['configs/_base_/models/resnet101.py', *measured],
    })
