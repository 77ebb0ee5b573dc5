_base_ = './random_faster-rcnn_coco_0.25pct.py'
model = dict(type='DensestCoreset')
