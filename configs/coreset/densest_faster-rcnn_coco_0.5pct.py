_base_ = './random_faster-rcnn_coco_0.5pct.py'
model = dict(type='DensestCoreset')
