_base_ = './random_convnet5_imagewoof_ipc10.py'
model = dict(type='UniformCoreset')
