# The student of the digit scenes: the embedded segmentor with the same pretrained backbone,
# trained on a small set for a fixed number of updates, whatever the size of the set. It is laid
# out for a CPU core: small batches, a frozen first block, and no lists packed into arrays, which
# costs a pass of the garbage collector per dataset.
_base_ = ['../proxies/fcn_digits.py']

model = dict(backbone=dict(frozen_stages=1))

# Each file is decoded once per process, which trains and tests many students.
resize = dict(type='Resize', scale=(64, 64), keep_ratio=False)
train_pipeline = [
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile')]),
    dict(type='LoadAnnotations'),
    resize,
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile'), resize]),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

max_iters = 100
train_dataloader = dict(
    batch_size=4, dataset=dict(pipeline=train_pipeline, serialize_data=False))
optim_wrapper = dict(optimizer=dict(fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=3e-3,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=50)
# Validation would only select a checkpoint: a quarter of the images.
val_dataloader = dict(
    dataset=dict(indices=50, pipeline=test_pipeline, serialize_data=False))
test_dataloader = dict(
    batch_size=20, dataset=dict(pipeline=test_pipeline, serialize_data=False))
default_hooks = dict(
    checkpoint=dict(interval=50, save_optimizer=False, save_best='mIoU', rule='greater'))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='segmentation',
    # column of the report -> key of the metric; mmseg's values are in percent already
    metrics=dict(mIoU='mIoU'),
    scale=1.,
    # the last checkpoint counts; 'val' tests one that validation chose, too, and takes longer
    select='none',
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=280, val_interval=140),
        train_dataloader=dict(batch_size=16),
        default_hooks=dict(checkpoint=dict(interval=140)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=3e-3,
                total_steps=280,
                pct_start=0.1,
                by_epoch=False)
        ]))
