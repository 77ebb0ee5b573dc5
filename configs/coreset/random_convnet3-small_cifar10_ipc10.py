# 100 images of CIFAR-10 for a small classifier, for two CPU cores.
_base_ = ['../_base_/datasets/cifar10_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3_small.py',
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/cls_small.py',
])
