# ResNet-50 as the teacher of ImageNet-1K: PyTorch's weights of the second recipe, which are its
# default and those that D4M's figures for the full set belong to.
weights = 'torchvision://resnet50.imagenet1k_v2'
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/resnet50.py',
                'configs/_base_/datasets/imagenet_cls.py',
                'configs/_base_/schedules/proxy_cls_imagenet.py',
                dict(
                    model=dict(
                        backbone=dict(init_cfg=dict(checkpoint=weights)),
                        head=dict(init_cfg=dict(checkpoint=weights)))),
            ],
            checkpoint='work_dirs/teachers/resnet50_imagenet.pth')))
