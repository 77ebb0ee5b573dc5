# Table 2, CIFAR-100.
_base_ = './convnet3_cifar100_ipc10.py'
train_cfg = dict(budget=dict(n=1))
