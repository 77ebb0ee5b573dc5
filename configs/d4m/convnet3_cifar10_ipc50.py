# Table 1, CIFAR-10, 50 images per class.
_base_ = ['./convnet3_cifar10_ipc10.py']

train_cfg = dict(budget=dict(n=50))
