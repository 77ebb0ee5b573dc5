_base_ = ['../_base_/datasets/voc2012_real_seg.py', '../_base_/coreset_seg.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='Ratio', percent=3.5))
evaluation = dict(protocol=[
    'configs/_base_/models/lraspp_mobilenet-v3-l.py',
    'configs/_base_/datasets/voc2012_seg.py',
    'configs/_base_/protocols/seg_voc.py',
])
