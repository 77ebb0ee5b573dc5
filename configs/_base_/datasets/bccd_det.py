# BCCD, blood cells in VOC layout: 205 training, 87 validation and 72 test images of 640x480, three
# classes, about 14 boxes per image. Expects data/bccd/VOCdevkit/VOC2007, see
# configs/benchmarks/README.md. Students see 192x144 pixels.
dataset_type = 'XMLDataset'
data_root = 'data/bccd/VOCdevkit/'
metainfo = dict(classes=('RBC', 'WBC', 'Platelets'))

size = (192, 144)
train_pipeline = [
    # each file is decoded once per process
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile')]),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    # after the resizing: predictions are compared in the image's own pixels
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        _scope_='mmdet',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
        serialize_data=False,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=12,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        _scope_='mmdet',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/val.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        metainfo=metainfo,
        test_mode=True,
        serialize_data=False,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=12,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        _scope_='mmdet',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        metainfo=metainfo,
        test_mode=True,
        serialize_data=False,
        pipeline=test_pipeline))

# mAP is the mean over the ten IoU thresholds of COCO, AP50 the one at 0.5.
val_evaluator = dict(
    type='mmdd.InProcessVOCMetric',
    metric='mAP',
    iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
    eval_mode='area')
test_evaluator = val_evaluator
