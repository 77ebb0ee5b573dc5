_base_ = './random_resnetap10_imagenette_ipc10.py'

train_cfg = dict(budget=dict(n=20))
