# ConvNet-5, for images of 128 pixels; see convnet3.py for images of another size.
_base_ = ['./convnet3.py']

model = dict(backbone=dict(widths=(128, ) * 5), head=dict(in_channels=128 * 4 * 4))
