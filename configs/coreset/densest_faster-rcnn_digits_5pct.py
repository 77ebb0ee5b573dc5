_base_ = './random_faster-rcnn_digits_5pct.py'
model = dict(type='DensestCoreset')
