# Table 2, ImageNette.
_base_ = './resnet18_imagenette_ipc10.py'
train_cfg = dict(budget=dict(n=1))
