_base_ = './random_convnet5_imagenette_ipc10.py'
model = dict(type='UniformCoreset')
