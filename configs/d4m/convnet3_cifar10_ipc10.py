# Table 1, CIFAR-10. The authors' settings for it are not released.
_base_ = ['../_base_/datasets/cifar10_real_cls.py', '../_base_/d4m_cls.py']

train_cfg = dict(budget=dict(type='IPC', n=10))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3.py',
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    # without a teacher of its own: a ConvNet that is trained on the real set first
    dict(protocol=dict(schedule=dict(image_size=32))),
])
