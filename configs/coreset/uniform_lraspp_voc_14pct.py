_base_ = './uniform_lraspp_voc_3.5pct.py'
train_cfg = dict(budget=dict(percent=14))
