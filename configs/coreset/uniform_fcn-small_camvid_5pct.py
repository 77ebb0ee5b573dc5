_base_ = './random_fcn-small_camvid_5pct.py'
model = dict(type='UniformCoreset')
