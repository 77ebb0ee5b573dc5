# Student on VOC segmentation: mmseg's recipe for VOC, 20,000 updates of 16 images for every
# set. UniDD does not state its schedule. Composed with a model and a dataset:
#   protocol=['configs/_base_/models/lraspp_mobilenet-v3-l.py',
#             'configs/_base_/datasets/voc2012_seg.py', 'configs/_base_/protocols/seg_voc.py']
_base_ = ['../schedules/proxy_seg.py']

# VOC has no split to select a checkpoint on: only the last one is measured.
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(val_interval=100000)
default_hooks = dict(checkpoint=dict(save_optimizer=False))

protocol = dict(
    # how the training set is swapped
    task='segmentation',
    # column of the report -> key of the metric; mmseg's values are in percent already
    metrics=dict(mIoU='mIoU'),
    scale=1.,
    # what changes for training on the full real set: nothing
    full=dict())
