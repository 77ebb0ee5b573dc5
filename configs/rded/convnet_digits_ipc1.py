# RDED on single digits: one image a class.
_base_ = './convnet_digits_ipc10.py'
train_cfg = dict(budget=dict(n=1))
