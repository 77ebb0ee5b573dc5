# The embedded judge of digit scenes: an FCOS, without anchors and RoIs, on a ConvNet of its own.
# Nothing of the Faster R-CNN that guides is in it, nor of that one's backbone.
_base_ = ['../datasets/digits_det.py', '../default_runtime.py']
default_scope = 'mmdet'

backbone_checkpoint = 'work_dirs/digits/convnet_judge.pth'
prepare = [
    dict(type='mmdd.DigitScenes', root='data/digit_scenes/'),
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/proxies/convnet_digits_judge.py',
        checkpoint=backbone_checkpoint),
]

model = dict(
    type='FCOS',
    _scope_='mmdet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[63.75, 63.75, 63.75],
        bgr_to_rgb=True,
        pad_size_divisor=8),
    backbone=dict(
        type='mmdd.ConvNet',
        widths=(32, 64, 64, 96),
        pool='max',
        norm_cfg=dict(type='BN'),
        stem_norm_cfg=dict(type='IN', affine=True),
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=backbone_checkpoint, prefix='backbone.')),
    # Two levels, of strides 4 and 8: the digits are 11 to 35 pixels large.
    neck=dict(type='FPN', in_channels=[64, 96], out_channels=64, num_outs=2),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=10,
        in_channels=64,
        feat_channels=64,
        stacked_convs=1,
        strides=[4, 8],
        regress_ranges=((-1, 20), (20, 1e8)),
        center_sampling=True,
        center_sample_radius=1.5,
        norm_on_bbox=True,
        centerness_on_reg=True,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    test_cfg=dict(
        nms_pre=200,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=20))

max_iters = 280
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=1e-3,
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
