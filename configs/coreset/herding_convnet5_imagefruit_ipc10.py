_base_ = './random_convnet5_imagefruit_ipc10.py'
model = dict(
    type='HerdingCoreset',
    feature_size=256,
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagefruit_cls.py',
            'configs/_base_/schedules/proxy_cls.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_imagefruit.pth'))
