# Pascal VOC 07+12 trainval for training, VOC07 test for measuring, as in mmdet.
# Expects data/VOCdevkit/VOC2007 and data/VOCdevkit/VOC2012.
_base_ = ['mmdet::_base_/datasets/voc0712.py']

# 16 images per update on one device; mmdet's own config spreads them over 8 GPUs
train_dataloader = dict(batch_size=16, num_workers=8)
val_dataloader = dict(batch_size=8, num_workers=4)
test_dataloader = dict(batch_size=8, num_workers=4)

# mAP is the mean over the ten IoU thresholds of COCO, AP50 the one at 0.5.
val_evaluator = dict(
    iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
    eval_mode='area')
test_evaluator = val_evaluator
