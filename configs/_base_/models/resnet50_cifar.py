# ResNet-50 from scratch for 32 or 64 pixels: a 3x3 stem of stride 1, no pooling after it.
_base_ = ['./resnet50.py']

model = dict(backbone=dict(type='ResNet_CIFAR'))
