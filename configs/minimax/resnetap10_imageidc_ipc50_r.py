_base_ = './resnetap10_imageidc_ipc10_r.py'

train_cfg = dict(budget=dict(n=50))
