# A narrow ConvNet-3 for CPU cores and images of 32 pixels; its classifier sees the mean of the
# last map.
_base_ = ['./convnet3.py']

model = dict(
    backbone=dict(
        widths=(16, 32, 64), norm_cfg=dict(_delete_=True, type='BN'), final_pool=False,
        flatten=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=64))
