# The student of the digit scenes with masks: that of det_digits.py with the embedded Mask R-CNN,
# measured by stock mmdet's CocoMetric on boxes and masks.
_base_ = ['../proxies/mask-rcnn_digits.py']

model = dict(
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=100, max_per_img=50), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=20)))

max_iters = 120
train_dataloader = dict(batch_size=4, dataset=dict(serialize_data=False))
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
val_dataloader = dict(dataset=dict(serialize_data=False))
test_dataloader = dict(batch_size=20, dataset=dict(serialize_data=False))
default_hooks = dict(
    checkpoint=dict(
        interval=60, save_optimizer=False, save_best='coco/segm_mAP_50', rule='greater'))

protocol = dict(
    # how the training set is swapped: as in detection, masks come along
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(
        segm_AP50='coco/segm_mAP_50', segm_mAP='coco/segm_mAP', bbox_mAP='coco/bbox_mAP'),
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
