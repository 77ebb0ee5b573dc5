_base_ = './herding_faster-rcnn_digits_5pct.py'
train_cfg = dict(budget=dict(percent=1))
