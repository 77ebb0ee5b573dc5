_base_ = './resnetap10_imagewoof_ipc10_difffit.py'

train_cfg = dict(budget=dict(n=100))
