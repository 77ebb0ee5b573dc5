_base_ = './random_convnet3_cifar100_ipc10.py'
model = dict(
    type='KCenterCoreset',
    feature_size=32,
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18_cifar.py',
            'configs/_base_/datasets/cifar100_cls.py',
            'configs/_base_/schedules/proxy_cifar.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_cifar100.pth'))
