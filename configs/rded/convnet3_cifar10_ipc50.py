# Table 2, CIFAR-10.
_base_ = './convnet3_cifar10_ipc10.py'
train_cfg = dict(budget=dict(n=50))
