_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
evaluation = dict(protocol=[
    'configs/_base_/models/resnet18.py',
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
])
