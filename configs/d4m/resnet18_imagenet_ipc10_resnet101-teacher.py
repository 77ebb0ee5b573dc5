# Table 3, ImageNet-1K: the same set, labelled by a ResNet-101.
_base_ = ['./resnet18_imagenet_ipc10.py']

measured = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet101_imagenet.py',
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py', *measured],
    students={
        'ResNet-50': ['configs/_base_/models/resnet50.py', *measured],
        'ResNet-101': ['configs/_base_/models/resnet101.py', *measured],
    })
