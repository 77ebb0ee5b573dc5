_base_ = './random_faster-rcnn_coco_1pct.py'
model = dict(type='DensestCoreset')
