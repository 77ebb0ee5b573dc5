# mmdet's faster-rcnn_r50_fpn_1x_voc0712: Faster R-CNN R50-FPN, ImageNet weights,
# 4 epochs of the 3 times repeated set.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../datasets/voc0712_det.py',
    '../default_runtime.py'
]
default_scope = 'mmdet'

model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))

max_epochs = 4
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, end=max_epochs, milestones=[3], gamma=0.1)
]
