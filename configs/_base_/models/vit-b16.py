# ViT-B/16 from scratch, for images of 224 pixels. The dataset sets the number of classes.
_base_ = ['./resnet18.py']

model = dict(
    backbone=dict(
        _delete_=True, type='VisionTransformer', arch='b', img_size=224, patch_size=16),
    neck=None,
    head=dict(
        _delete_=True,
        type='VisionTransformerClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, )))
