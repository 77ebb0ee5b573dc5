# Table 1, ImageNet-1K: one patch an image.
_base_ = './resnet18_imagenet_ipc10.py'
model = dict(composition='S')
