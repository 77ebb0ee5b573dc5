_base_ = './faster-rcnn_digits_5pct_from-real.py'
train_cfg = dict(budget=dict(percent=2))
