# The student of the digit scenes: the embedded detector with the same pretrained backbone,
# trained on a small set for a fixed number of updates, whatever the size of the set. It is laid
# out for a CPU core: small batches, few regions (a scene has one to four digits), and no lists
# packed into arrays, which costs a pass of the garbage collector per dataset.
_base_ = ['../proxies/faster-rcnn_digits.py']

model = dict(
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=100, max_per_img=50), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=20)))

# Each file is decoded once per process, which trains and tests many students.
resize = dict(type='mmdet.Resize', scale=(64, 64), keep_ratio=False)
train_pipeline = [
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile')]),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
test_pipeline = [
    dict(type='mmdd.CachedSteps', steps=[dict(type='LoadImageFromFile'), resize]),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

max_iters = 120
train_dataloader = dict(
    batch_size=4, dataset=dict(pipeline=train_pipeline, serialize_data=False))
optim_wrapper = dict(optimizer=dict(fused=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=1e-3,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=60)
# Validation would only select a checkpoint: a quarter of the images, one threshold of ten.
val_dataloader = dict(
    dataset=dict(indices=50, pipeline=test_pipeline, serialize_data=False))
test_dataloader = dict(
    batch_size=20, dataset=dict(pipeline=test_pipeline, serialize_data=False))
val_evaluator = dict(iou_thrs=[0.5])
default_hooks = dict(
    checkpoint=dict(
        interval=60, save_optimizer=False, save_best='pascal_voc/AP50', rule='greater'))

protocol = dict(
    # how the training set is swapped: detection, classification or segmentation
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(AP50='pascal_voc/AP50', mAP='pascal_voc/mAP'),
    scale=100.,
    # the last checkpoint counts; 'val' tests one that validation chose, too, and takes longer
    select='none',
    # what changes for training on the full real set
    full=dict(
        train_cfg=dict(max_iters=240, val_interval=120),
        train_dataloader=dict(batch_size=16),
        default_hooks=dict(checkpoint=dict(interval=120)),
        param_scheduler=[
            dict(
                type='OneCycleLR',
                eta_max=1e-3,
                total_steps=240,
                pct_start=0.1,
                by_epoch=False)
        ]))
