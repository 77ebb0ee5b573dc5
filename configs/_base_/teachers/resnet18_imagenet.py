# The teacher of soft-label protocols on ImageNet-1K: PyTorch's ResNet-18, which is the proxy of
# UniDD as well, so both are one checkpoint.
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet18.py',
                'configs/_base_/datasets/imagenet_cls.py',
                'configs/_base_/schedules/proxy_cls_imagenet.py',
            ],
            checkpoint='work_dirs/proxies/resnet18_imagenet.pth')))
