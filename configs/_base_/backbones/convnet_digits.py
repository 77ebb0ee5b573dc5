# A plain convolutional network, trained to classify single digits of the training
# handwriting: the pretrained backbone of the embedded detector.
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'
data_root = 'data/digit_scenes/'
prepare = [dict(type='mmdd.DigitScenes', root=data_root)]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        num_classes=10,
        mean=[127.5, 127.5, 127.5],
        std=[63.75, 63.75, 63.75],
        to_rgb=True),
    backbone=dict(
        type='mmdd.ConvNet',
        widths=(24, 48, 96, 128, 128),
        downsample=(False, True, True, True, False),
        pool='max',
        norm_cfg=dict(type='BN'),
        stem_norm_cfg=dict(type='IN', affine=True)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128))

# At 32 pixels a single digit is about as large as the digits of a scene.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32), interpolation='area'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32), interpolation='area'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='single/train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='single/val',
        pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1, ))

max_iters = 600
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.01))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=3e-3,
        total_steps=max_iters,
        pct_start=0.15,
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict()
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
