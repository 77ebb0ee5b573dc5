_base_ = './random_faster-rcnn_voc_0.5pct.py'
model = dict(type='DensestCoreset')
