_base_ = './resnetap10_imageidc_ipc10_d.py'

train_cfg = dict(budget=dict(n=50))
