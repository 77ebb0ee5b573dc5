# Table 1, ImageNette: one patch per image.
_base_ = './resnet18_imagenette_ipc10.py'
model = dict(composition='S')
