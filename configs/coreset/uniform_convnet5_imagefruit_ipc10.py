_base_ = './random_convnet5_imagefruit_ipc10.py'
model = dict(type='UniformCoreset')
