_base_ = './kcenter_fcn-small_camvid_5pct.py'
model = dict(type='HerdingCoreset')
