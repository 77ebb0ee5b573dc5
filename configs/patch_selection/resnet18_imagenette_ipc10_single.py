# Table 1, ImageNette: one patch an image.
_base_ = './resnet18_imagenette_ipc10.py'
model = dict(composition='S')
