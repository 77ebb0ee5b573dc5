# A student of 32 pixels for CPU cores, trained for a fixed number of updates, whatever the size of
# the set; no split selects a checkpoint: the last one is measured. Composed with a model and a
# dataset:
#   protocol=['configs/_base_/models/convnet3_small.py', 'configs/_base_/datasets/cifar10_cls.py',
#             'configs/_base_/protocols/cls_small.py']
_base_ = ['../schedules/one_cycle.py']
default_scope = 'mmpretrain'

train_pipeline = [
    # each file is decoded once per process
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile')]),
    dict(type='Resize', scale=(32, 32)),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.25, contrast=0.25, saturation=0.25),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, serialize_data=False))
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(serialize_data=False))

max_iters = 240
optim_wrapper = dict(optimizer=dict(lr=4e-3, fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=4e-3,
        total_steps=max_iters,
        pct_start=0.15,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=10**9)
default_hooks = dict(checkpoint=dict(interval=max_iters, save_optimizer=False))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='classification',
    # column of the report -> key of the metric; mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=1200),
        default_hooks=dict(checkpoint=dict(interval=1200)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=4e-3,
                total_steps=1200,
                pct_start=0.15,
                by_epoch=False)
        ]))
