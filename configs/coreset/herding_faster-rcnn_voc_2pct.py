_base_ = './herding_faster-rcnn_voc_1pct.py'
train_cfg = dict(budget=dict(percent=2))
