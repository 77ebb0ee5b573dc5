_base_ = './random_convnet3-small_cifar10_ipc10.py'
model = dict(
    type='KCenterCoreset',
    feature_size=32,
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet20_cifar.py',
            'configs/_base_/schedules/proxy_cifar.py',
            'configs/_base_/datasets/cifar10_cls.py',
            'configs/_base_/models/imagenet_colours.py',
        ],
        checkpoint='work_dirs/proxies/resnet20_cifar10.pth'))
