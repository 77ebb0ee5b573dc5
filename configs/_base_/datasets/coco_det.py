# COCO 2017: train2017 (118,287 images; 117,266 with objects) for training, val2017 for
# measuring, as in mmdet. Expects data/coco/{annotations,train2017,val2017}. What is measured,
# in the val slot as in the test slot, is val2017; there is no set to select on. The number
# of classes, 80, is left to the model, as mmdet's own models have it.
_base_ = ['mmdet::_base_/datasets/coco_detection.py']

# 16 images per update on one device; mmdet's own config spreads them over 8 GPUs
train_dataloader = dict(batch_size=16, num_workers=8)
val_dataloader = dict(batch_size=8, num_workers=4)
test_dataloader = dict(batch_size=8, num_workers=4)
