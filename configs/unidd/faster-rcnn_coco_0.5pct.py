_base_ = './faster-rcnn_coco_1pct.py'
train_cfg = dict(budget=dict(percent=0.5))
