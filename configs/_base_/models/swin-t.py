# Swin-T from scratch, for images of 224 pixels. The dataset sets the number of classes.
_base_ = ['./resnet18.py']

model = dict(
    backbone=dict(
        _delete_=True, type='SwinTransformer', arch='tiny', img_size=224, drop_path_rate=0.2),
    head=dict(in_channels=768),
    init_cfg=[
        dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
    ])
