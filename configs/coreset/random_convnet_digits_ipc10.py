_base_ = ['../_base_/datasets/digits_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
