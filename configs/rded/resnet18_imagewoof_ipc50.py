# Table 2, ImageWoof.
_base_ = './resnet18_imagewoof_ipc10.py'
train_cfg = dict(budget=dict(n=50))
