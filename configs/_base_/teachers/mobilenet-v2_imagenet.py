# MobileNetV2 as the teacher of ImageNet-1K: mmpretrain's weights, and one careful pass on top
# of them.
weights = ('https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/'
           'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth')
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/mobilenet-v2.py',
                'configs/_base_/datasets/imagenet_cls.py',
                'configs/_base_/schedules/proxy_cls_imagenet.py',
                dict(
                    model=dict(
                        backbone=dict(init_cfg=dict(checkpoint=weights, prefix='backbone')),
                        head=dict(init_cfg=dict(checkpoint=weights, prefix='head')))),
            ],
            checkpoint='work_dirs/teachers/mobilenet-v2_imagenet.pth')))
