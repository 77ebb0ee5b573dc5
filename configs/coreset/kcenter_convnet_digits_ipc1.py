_base_ = './kcenter_convnet_digits_ipc10.py'
train_cfg = dict(budget=dict(n=1))
