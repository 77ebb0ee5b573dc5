# The embedded judge of masks: a semantic FPN on a ConvNet of its own. Nothing of the FCN that
# guides is in it, nor of that one's backbone.
_base_ = ['../datasets/digits_seg.py', '../default_runtime.py']
default_scope = 'mmseg'

backbone_checkpoint = 'work_dirs/digits/convnet_judge.pth'
prepare = [
    dict(type='mmdd.DigitScenes', root='data/digit_scenes/'),
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/proxies/convnet_digits_judge.py',
        checkpoint=backbone_checkpoint),
]

model = dict(
    type='EncoderDecoder',
    _scope_='mmseg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[63.75, 63.75, 63.75],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(64, 64)),
    backbone=dict(
        type='mmdd.ConvNet',
        widths=(32, 64, 64, 96),
        pool='max',
        norm_cfg=dict(type='BN'),
        stem_norm_cfg=dict(type='IN', affine=True),
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=backbone_checkpoint, prefix='backbone.')),
    # Levels of strides 2, 4 and 8.
    neck=dict(type='FPN', in_channels=[64, 64, 96], out_channels=48, num_outs=3),
    decode_head=dict(
        type='FPNHead',
        in_channels=[48, 48, 48],
        in_index=[0, 1, 2],
        feature_strides=[2, 4, 8],
        channels=48,
        dropout_ratio=0.,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        # Nine of ten pixels are background: without weights nothing else is learnt.
        loss_decode=dict(
            type='CrossEntropyLoss',
            use_sigmoid=False,
            loss_weight=1.0,
            class_weight=[0.2] + [1.0] * 10,
            avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

max_iters = 320
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=2e-3,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
randomness = dict(seed=100)
