_base_ = './kcenter_fcn_digits_5pct.py'
model = dict(type='FacilityLocationCoreset')
