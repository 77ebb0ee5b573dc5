# RDED on CIFAR-10 for a small classifier, for two CPU cores; the observer is a ResNet-20.
_base_ = ['../_base_/datasets/cifar10_real_cls.py', '../_base_/rded_cls.py']

model = dict(
    image_size=32,
    proxy=dict(
        cfg=[
            'configs/_base_/models/resnet20_cifar.py',
            'configs/_base_/schedules/proxy_cifar.py',
            'configs/_base_/datasets/cifar10_cls.py',
            'configs/_base_/models/imagenet_colours.py',
        ],
        checkpoint='work_dirs/proxies/resnet20_cifar10.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3_small.py',
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/cls_small.py',
])
