_base_ = './random_convnet_digits_ipc10.py'
model = dict(type='UniformCoreset')
