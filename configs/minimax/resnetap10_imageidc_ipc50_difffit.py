_base_ = './resnetap10_imageidc_ipc10_difffit.py'

train_cfg = dict(budget=dict(n=50))
