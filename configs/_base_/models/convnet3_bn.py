# ConvNet-3 with batch normalisation, as RDED trains it.
_base_ = ['./convnet3.py']

model = dict(backbone=dict(norm_cfg=dict(_delete_=True, type='BN')))
