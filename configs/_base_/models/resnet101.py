# ResNet-101 from scratch, for images of some 224 pixels. The dataset sets the number of classes.
_base_ = ['./resnet18.py']

model = dict(backbone=dict(depth=101), head=dict(in_channels=2048))
