_base_ = './random_resnet18_imagenet_ipc10.py'
model = dict(type='UniformCoreset')
