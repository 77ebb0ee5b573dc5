_base_ = './kcenter_faster-rcnn_voc_1pct.py'
train_cfg = dict(budget=dict(percent=0.5))
