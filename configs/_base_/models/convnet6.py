# ConvNet-6, for images of 224 pixels. Of 256 pixels the last map is 4x4, not 3x3:
# model.head.in_channels = 2048; see convnet3.py for other sizes.
_base_ = ['./convnet3.py']

model = dict(backbone=dict(widths=(128, ) * 6), head=dict(in_channels=128 * 3 * 3))
