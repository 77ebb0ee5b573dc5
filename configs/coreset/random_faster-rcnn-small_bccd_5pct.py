_base_ = ['../_base_/datasets/bccd_real_det.py', '../_base_/coreset_det.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=5))
evaluation = dict(protocol='configs/_base_/protocols/det_bccd.py')
