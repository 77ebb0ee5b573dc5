# The student of CamVid: the segmentor of proxies/fcn_camvid.py from scratch, trained for a fixed
# number of updates, whatever the size of the set.
_base_ = ['../proxies/fcn_camvid.py']

max_iters = 100
optim_wrapper = dict(optimizer=dict(fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=3e-3,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
# The last checkpoint is measured: to validate would take a fifth of the time.
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(max_iters=max_iters, val_interval=10**9)
default_hooks = dict(checkpoint=dict(interval=max_iters, save_optimizer=False))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='segmentation',
    # column of the report -> key of the metric; mmseg's values are in percent already
    metrics=dict(mIoU='mIoU'),
    scale=1.,
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=300),
        default_hooks=dict(checkpoint=dict(interval=300)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=3e-3,
                total_steps=300,
                pct_start=0.1,
                by_epoch=False)
        ]))
