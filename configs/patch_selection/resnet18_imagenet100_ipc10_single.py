# Table 1, ImageNet-100: one patch per image.
_base_ = './resnet18_imagenet100_ipc10.py'
model = dict(composition='S')
