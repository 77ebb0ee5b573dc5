_base_ = './random_faster-rcnn_voc_2pct.py'
model = dict(type='DensestCoreset')
