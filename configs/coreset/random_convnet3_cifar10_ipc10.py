_base_ = ['../_base_/datasets/cifar10_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3.py',
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/dc_dsa.py',
    dict(protocol=dict(schedule=dict(image_size=32))),
])
