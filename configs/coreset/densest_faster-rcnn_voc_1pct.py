_base_ = './random_faster-rcnn_voc_1pct.py'
model = dict(type='DensestCoreset')
