# Table 1, CIFAR-100, SDXL-Turbo alone: 20 generated images per class, scaled to 32 pixels.
_base_ = ['../_base_/datasets/cifar100_real_cls.py', '../_base_/sdxl_turbo_cls.py']

model = dict(set_stages=[dict(type='PostAugmentation', size=32, copies=0)])
train_cfg = dict(budget=dict(type='IPC', n=20))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3.py',
    'configs/_base_/datasets/cifar100_cls.py',
    'configs/_base_/protocols/challenge.py',
])
