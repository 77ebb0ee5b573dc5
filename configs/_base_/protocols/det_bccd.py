# The student of BCCD: the detector of proxies/faster-rcnn_bccd.py from scratch, trained for a
# fixed number of updates, whatever the size of the set.
_base_ = ['../proxies/faster-rcnn_bccd.py']

max_iters = 150
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(optimizer=dict(fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=2e-3,
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
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(AP50='pascal_voc/AP50', mAP='pascal_voc/mAP'),
    scale=100.,
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=450),
        default_hooks=dict(checkpoint=dict(interval=450)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=2e-3,
                total_steps=450,
                pct_start=0.1,
                by_epoch=False)
        ]))
