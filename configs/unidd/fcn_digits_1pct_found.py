_base_ = './fcn_digits_5pct_found.py'
train_cfg = dict(budget=dict(percent=1))
