# Table 1, ImageNette: four patches in an image.
_base_ = './resnet18_imagenette_ipc50.py'
model = dict(composition='C')
