# Table 3, ImageIDC: the raw DiT.
_base_ = './resnetap10_imageidc_ipc10.py'

model = dict(fine_tune=None)
