# Table 1, ImageWoof: the raw DiT.
_base_ = './resnetap10_imagewoof_ipc70.py'

model = dict(fine_tune=None)
