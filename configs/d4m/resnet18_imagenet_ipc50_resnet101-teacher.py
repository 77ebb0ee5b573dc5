# Figure 6, ImageNet-1K: 50 images per class, labelled by a ResNet-101.
_base_ = ['./resnet18_imagenet_ipc10_resnet101-teacher.py']

train_cfg = dict(budget=dict(n=50))
