# Student on VOC, epoch-based: 12 passes over the set, whatever its size. A set of 1 %
# (166 images) gets 128 updates; det_voc_iters.py gives it as many as the full set.
_base_ = ['../proxies/faster-rcnn_r50_voc0712.py']

# VOC has no split to select a checkpoint on: only the last one is measured.
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=4, save_optimizer=False))

protocol = dict(
    # how the training set is swapped
    task='detection',
    # column of the report -> key of the metric, and a factor that makes it percent
    metrics=dict(AP50='pascal_voc/AP50', mAP='pascal_voc/mAP'),
    scale=100.,
    # what changes for training on the full real set: nothing
    full=dict())
