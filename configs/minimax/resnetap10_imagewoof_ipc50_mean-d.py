_base_ = './resnetap10_imagewoof_ipc10_mean-d.py'

train_cfg = dict(budget=dict(n=50))
