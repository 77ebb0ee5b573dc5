_base_ = './random_convnet5_imagemeow_ipc10.py'
model = dict(type='UniformCoreset')
