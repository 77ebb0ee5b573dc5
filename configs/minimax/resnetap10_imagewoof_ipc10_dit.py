# Table 1, ImageWoof: the raw DiT.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(fine_tune=None)
