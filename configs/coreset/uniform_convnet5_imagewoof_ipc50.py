_base_ = './uniform_convnet5_imagewoof_ipc10.py'
train_cfg = dict(budget=dict(n=50))
