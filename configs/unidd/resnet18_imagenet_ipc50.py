# Table 1, ImageNet-1K, 50 images per class.
_base_ = './resnet18_imagenet_ipc10.py'
train_cfg = dict(budget=dict(n=50))
