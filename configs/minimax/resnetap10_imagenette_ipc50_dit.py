# Table 3, ImageNette: the raw DiT.
_base_ = './resnetap10_imagenette_ipc50.py'

model = dict(fine_tune=None)
