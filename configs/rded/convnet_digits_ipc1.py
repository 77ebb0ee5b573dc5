# RDED on single digits: one image per class.
_base_ = './convnet_digits_ipc10.py'
train_cfg = dict(budget=dict(n=1))
