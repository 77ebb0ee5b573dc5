_base_ = './uniform_convnet3_cifar10_ipc10.py'
train_cfg = dict(budget=dict(n=50))
