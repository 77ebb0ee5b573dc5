_base_ = './random_faster-rcnn-small_bccd_5pct.py'
model = dict(type='UniformCoreset')
