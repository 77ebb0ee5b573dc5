_base_ = ['../_base_/datasets/camvid_real_seg.py', '../_base_/coreset_seg.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=5))
evaluation = dict(protocol='configs/_base_/protocols/seg_camvid.py')
