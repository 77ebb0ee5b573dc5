_base_ = './random_convnet3_cifar100_ipc10.py'
model = dict(type='UniformCoreset')
