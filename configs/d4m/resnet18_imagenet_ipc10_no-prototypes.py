# Table 4, ImageNet-1K: images start from noise.
_base_ = ['./resnet18_imagenet_ipc10.py']

model = dict(statistics=None)
