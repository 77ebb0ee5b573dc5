# The student of the single digits: a ConvNet from scratch on 32x32 images, trained for a
# fixed number of updates, whatever the size of the set.
_base_ = ['../proxies/convnet_digits_cls.py']

# Each file is decoded and resized once per process, which trains and tests many students.
small_image = dict(
    type='mmdd.CachedSteps',
    steps=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(32, 32), interpolation='area'),
    ])
# Ten images are told apart by their colours before their shapes: with jitter, small shifts and
# the inversion of whole images alone, ten real digits teach next to nothing (docs/protocols.md).
# The same for all methods.
train_pipeline = [
    small_image,
    dict(type='mmdd.RandomAffine', rotate=15., zoom=(0.7, 1.25), shift=0.15),
    dict(type='ColorJitter', brightness=0.5, contrast=0.5, saturation=0.5),
    dict(type='mmdd.RandomChannels', invert=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [small_image, dict(type='PackInputs')]
# Lists packed into arrays would cost a pass of the garbage collector per dataset.
train_dataloader = dict(
    batch_size=16, dataset=dict(pipeline=train_pipeline, serialize_data=False))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, serialize_data=False))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, serialize_data=False))

max_iters = 400
optim_wrapper = dict(optimizer=dict(lr=6e-3, fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=6e-3,
        total_steps=max_iters,
        pct_start=0.15,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=200)
default_hooks = dict(
    checkpoint=dict(
        interval=200, save_optimizer=False, save_best='accuracy/top1', rule='greater'))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='classification',
    # column of the report -> key of the metric; mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    # the last checkpoint counts; 'val' tests one that validation chose, too, and takes longer
    select='none',
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=600, val_interval=300),
        train_dataloader=dict(batch_size=32),
        default_hooks=dict(checkpoint=dict(interval=300)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=6e-3,
                total_steps=600,
                pct_start=0.15,
                by_epoch=False)
        ]))
