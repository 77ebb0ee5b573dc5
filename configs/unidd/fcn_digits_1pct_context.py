_base_ = './fcn_digits_5pct_context.py'
train_cfg = dict(budget=dict(percent=1))
