_base_ = './densest_fcn_digits_5pct.py'
train_cfg = dict(budget=dict(percent=1))
