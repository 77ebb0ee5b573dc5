# MobileNetV2 from scratch, for images of some 224 pixels. The dataset sets the number of classes.
_base_ = ['./resnet18.py']

model = dict(
    backbone=dict(_delete_=True, type='MobileNetV2', widen_factor=1.0),
    head=dict(in_channels=1280))
