_base_ = './kcenter_faster-rcnn_digits_5pct.py'
train_cfg = dict(budget=dict(percent=1))
