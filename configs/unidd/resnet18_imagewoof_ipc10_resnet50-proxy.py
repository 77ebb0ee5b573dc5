# Table 6, ImageWoof: guided by a ResNet-50.
_base_ = './resnet18_imagewoof_ipc10.py'
model = dict(
    proxy=dict(
        cfg=[
            'configs/_base_/models/resnet50.py',
            'configs/_base_/datasets/imagewoof_cls.py',
            'configs/_base_/schedules/proxy_cls.py',
            dict(model=dict(backbone=dict(init_cfg=dict(checkpoint='torchvision://resnet50')))),
        ],
        checkpoint='work_dirs/proxies/resnet50_imagewoof.pth'))
