_base_ = './kcenter_faster-rcnn-small_bccd_5pct.py'
model = dict(type='HerdingCoreset')
