_base_ = './uniform_faster-rcnn_digits_5pct.py'
train_cfg = dict(budget=dict(percent=2))
