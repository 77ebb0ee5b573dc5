_base_ = './random_convnet5_imagewoof_ipc10.py'
train_cfg = dict(budget=dict(n=50))
