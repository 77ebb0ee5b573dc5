_base_ = './fcn_digits_5pct_noise.py'
train_cfg = dict(budget=dict(percent=1))
