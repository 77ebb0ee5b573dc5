_base_ = './random_convnet3_cifar10_ipc10.py'
model = dict(type='UniformCoreset')
