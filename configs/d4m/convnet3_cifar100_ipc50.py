# Table 1, CIFAR-100, 50 images a class.
_base_ = ['./convnet3_cifar100_ipc10.py']

train_cfg = dict(budget=dict(n=50))
