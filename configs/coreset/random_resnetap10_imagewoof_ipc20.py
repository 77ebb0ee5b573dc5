_base_ = './random_resnetap10_imagewoof_ipc10.py'

train_cfg = dict(budget=dict(n=20))
