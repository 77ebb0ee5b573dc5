# Table 6, ImageWoof: guided by a ResNet-101.
_base_ = './resnet18_imagewoof_ipc10.py'
model = dict(
    proxy=dict(
        cfg=[
            'configs/_base_/models/resnet101.py',
            'configs/_base_/datasets/imagewoof_cls.py',
            'configs/_base_/schedules/proxy_cls.py',
            dict(model=dict(backbone=dict(init_cfg=dict(checkpoint='torchvision://resnet101')))),
        ],
        checkpoint='work_dirs/proxies/resnet101_imagewoof.pth'))
