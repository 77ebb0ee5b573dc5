# Student with masks on COCO, epoch-based: mmdet's 1x schedule, 12 passes over the set, whatever
# its size. As det_coco.py otherwise.
_base_ = ['../proxies/mask-rcnn_r50_coco.py']

# COCO has no split to select a checkpoint on: only the last one is measured, on val2017.
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=4, save_optimizer=False))

protocol = dict(
    # how the training set is swapped: as in detection, masks come along
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(
        segm_AP50='coco/segm_mAP_50', segm_mAP='coco/segm_mAP', bbox_mAP='coco/bbox_mAP'),
    scale=100.,
    # 500 updates of warm-up are more than a small set gets in all
    schedule=dict(type='ShortWarmUp', share=0.1),
    # what changes for training on the full real set: nothing
    full=dict())
