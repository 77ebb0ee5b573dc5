# A small FCN from scratch, with a quarter of the channels of fcn_r18_small, trained on all
# training images of CamVid.
_base_ = [
    '../models/fcn_r18_small.py',
    '../datasets/camvid_seg.py',
    '../schedules/one_cycle.py',
]
default_scope = 'mmseg'

model = dict(
    data_preprocessor=dict(size=(144, 192)),
    backbone=dict(base_channels=16),
    decode_head=dict(in_channels=128, channels=64, num_classes=11))

max_iters = 300
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=3e-3,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
