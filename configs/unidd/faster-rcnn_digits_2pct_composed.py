_base_ = './faster-rcnn_digits_5pct_composed.py'
train_cfg = dict(budget=dict(percent=2))
