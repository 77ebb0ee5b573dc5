_base_ = './random_fcn_digits_5pct.py'
model = dict(type='DensestCoreset')
