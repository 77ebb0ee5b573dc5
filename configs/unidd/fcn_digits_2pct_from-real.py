_base_ = './fcn_digits_5pct_from-real.py'
train_cfg = dict(budget=dict(percent=2))
