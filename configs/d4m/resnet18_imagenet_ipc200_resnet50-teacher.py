# Figure 6, ImageNet-1K: 200 images per class, labelled by a ResNet-50.
_base_ = ['./resnet18_imagenet_ipc10_resnet50-teacher.py']

train_cfg = dict(budget=dict(n=200))
