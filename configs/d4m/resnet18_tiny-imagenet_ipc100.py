# Table 2, Tiny ImageNet, 100 images per class.
_base_ = ['./resnet18_tiny-imagenet_ipc50.py']

train_cfg = dict(budget=dict(n=100))
