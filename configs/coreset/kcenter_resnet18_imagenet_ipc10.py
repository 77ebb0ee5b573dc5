_base_ = './random_resnet18_imagenet_ipc10.py'
model = dict(
    type='KCenterCoreset',
    feature_size=256,
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagenet_cls.py',
            'configs/_base_/schedules/proxy_cls_imagenet.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_imagenet.pth'))
