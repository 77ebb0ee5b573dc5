# Student on COCO, epoch-based: mmdet's 1x schedule, 12 passes over the set, whatever its
# size. A set of 1 % (1,183 images) gets 888 updates; det_coco_iters.py gives it as many as
# the full set.
_base_ = ['../proxies/faster-rcnn_r50_coco.py']

# COCO has no split to select a checkpoint on: only the last one is measured, on val2017.
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=4, save_optimizer=False))

protocol = dict(
    # how the training set is swapped
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(AP50='coco/bbox_mAP_50', mAP='coco/bbox_mAP'),
    scale=100.,
    # 500 updates of warm-up are more than sets of 0.25 % and 0.5 % get in all
    schedule=dict(type='ShortWarmUp', share=0.1),
    # what changes for training on the full real set: nothing
    full=dict())
