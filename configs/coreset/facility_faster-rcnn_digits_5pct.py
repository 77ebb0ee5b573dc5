_base_ = './kcenter_faster-rcnn_digits_5pct.py'
model = dict(type='FacilityLocationCoreset')
