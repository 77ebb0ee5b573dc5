_base_ = ['../_base_/datasets/coco_real_det.py', '../_base_/coreset_det.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=1), writer=dict(type='COCOWriter'))
evaluation = dict(protocol='configs/_base_/protocols/det_coco.py')
