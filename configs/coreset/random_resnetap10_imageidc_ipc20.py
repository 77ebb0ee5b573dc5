_base_ = './random_resnetap10_imageidc_ipc10.py'

train_cfg = dict(budget=dict(n=20))
