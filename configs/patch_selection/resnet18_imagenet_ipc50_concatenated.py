# Table 1, ImageNet-1K: four patches in an image.
_base_ = './resnet18_imagenet_ipc50.py'
model = dict(composition='C')
