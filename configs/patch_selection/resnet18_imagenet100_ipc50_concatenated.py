# Table 1, ImageNet-100: four patches in an image.
_base_ = './resnet18_imagenet100_ipc50.py'
model = dict(composition='C')
