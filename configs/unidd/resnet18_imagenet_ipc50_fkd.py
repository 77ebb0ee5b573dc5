# Table 1 with stored soft labels, as D4M measures: the same set, a tenth of the updates.
_base_ = './resnet18_imagenet_ipc50.py'
evaluation = dict(protocol=[
    'configs/_base_/models/resnet18.py',
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
])
