# Table 3, ImageIDC: the raw DiT.
_base_ = './resnetap10_imageidc_ipc50.py'

model = dict(fine_tune=None)
