_base_ = ['../_base_/datasets/digits_real_det.py', '../_base_/coreset_det.py']

model = dict(type='UniformCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=5))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/det_digits.py')
