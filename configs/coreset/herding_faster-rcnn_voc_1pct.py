_base_ = './kcenter_faster-rcnn_voc_1pct.py'
model = dict(type='HerdingCoreset')
