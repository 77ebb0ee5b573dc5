# Table 4: the raw DiT.
_base_ = './resnet18_imagenet_ipc10.py'

model = dict(fine_tune=None)
