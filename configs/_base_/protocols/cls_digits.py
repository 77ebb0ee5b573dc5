# The student of the single digits: a ConvNet from scratch on 32x32 images, trained for a
# fixed number of updates, whatever the size of the set.
_base_ = ['../proxies/convnet_digits_cls.py']

max_iters = 300
train_cfg = dict(max_iters=max_iters, val_interval=100)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=3e-3,
        total_steps=max_iters,
        pct_start=0.15,
        by_epoch=False)
]
default_hooks = dict(
    checkpoint=dict(
        interval=100, save_optimizer=False, save_best='accuracy/top1', rule='greater'))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='classification',
    # column of the report -> key of the metric; mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    # what changes for the arm that trains on the full real set
    full=dict(
        train_cfg=dict(max_iters=600, val_interval=200),
        default_hooks=dict(checkpoint=dict(interval=200)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=3e-3,
                total_steps=600,
                pct_start=0.15,
                by_epoch=False)
        ]))
