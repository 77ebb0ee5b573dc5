# Table 1, ImageNet-1K: one patch per image.
_base_ = './resnet18_imagenet_ipc10.py'
model = dict(composition='S')
