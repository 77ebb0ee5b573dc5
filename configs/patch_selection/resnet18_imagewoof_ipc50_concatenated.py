# Table 1, ImageWoof: four patches in an image.
_base_ = './resnet18_imagewoof_ipc50.py'
model = dict(composition='C')
