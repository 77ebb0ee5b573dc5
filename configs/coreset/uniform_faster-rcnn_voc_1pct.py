_base_ = ['../_base_/datasets/voc0712_real_det.py', '../_base_/coreset_det.py']

model = dict(type='UniformCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=1))
evaluation = dict(protocol='configs/_base_/protocols/det_voc.py')
