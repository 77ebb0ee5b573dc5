_base_ = './faster-rcnn_digits_5pct_dense.py'
train_cfg = dict(budget=dict(percent=1))
