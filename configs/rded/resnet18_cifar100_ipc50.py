# Table 2, CIFAR-100.
_base_ = './resnet18_cifar100_ipc10.py'
train_cfg = dict(budget=dict(n=50))
