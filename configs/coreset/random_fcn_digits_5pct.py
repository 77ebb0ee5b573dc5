_base_ = ['../_base_/datasets/digits_real_seg.py', '../_base_/coreset_seg.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=5))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/seg_digits.py')
