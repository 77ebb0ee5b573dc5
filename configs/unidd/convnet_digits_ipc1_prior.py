_base_ = './convnet_digits_ipc10_prior.py'
train_cfg = dict(budget=dict(n=1))
