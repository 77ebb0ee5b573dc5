# Table 1, ImageWoof: one patch per image.
_base_ = './resnet18_imagewoof_ipc10.py'
model = dict(composition='S')
