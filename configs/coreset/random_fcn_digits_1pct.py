_base_ = './random_fcn_digits_5pct.py'
train_cfg = dict(budget=dict(percent=1))
