_base_ = './faster-rcnn_digits_5pct_prior.py'
train_cfg = dict(budget=dict(percent=1))
