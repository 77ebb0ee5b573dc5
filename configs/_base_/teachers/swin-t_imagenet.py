# Swin-T as the teacher of ImageNet-1K: mmpretrain's weights, and one careful pass on top of them.
weights = ('https://download.openmmlab.com/mmclassification/v0/swin-transformer/'
           'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth')
protocol = dict(
    schedule=dict(
        teacher=dict(
            cfg=[
                'configs/_base_/models/swin-t.py',
                'configs/_base_/datasets/imagenet_cls.py',
                'configs/_base_/schedules/proxy_cls_imagenet.py',
                dict(
                    model=dict(
                        backbone=dict(init_cfg=dict(checkpoint=weights, prefix='backbone')),
                        head=dict(init_cfg=dict(checkpoint=weights, prefix='head')))),
            ],
            checkpoint='work_dirs/teachers/swin-t_imagenet.pth')))
