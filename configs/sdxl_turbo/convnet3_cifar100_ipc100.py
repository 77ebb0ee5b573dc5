# Table 1, CIFAR-100, SDXL-Turbo + PDA: the same 20 images per class, each with four copies.
_base_ = ['./convnet3_cifar100_ipc20.py']

model = dict(set_stages=[dict(type='PostAugmentation', size=32, copies=4)])
train_cfg = dict(budget=dict(n=100))
