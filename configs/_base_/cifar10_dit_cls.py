# CIFAR-10 distilled by the prior that was trained on it. A leaf adds the method and what it needs.
_base_ = ['./datasets/cifar10_real_cls.py', './diffusions/cifar10_dit.py', './distill_runtime.py']

model = dict(image_size=32)
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=100,
    max_rounds=1)
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3.py',
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/dc_dsa.py',
    dict(protocol=dict(schedule=dict(image_size=32))),
])
