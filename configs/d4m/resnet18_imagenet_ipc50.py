# Tables 2 and 5, ImageNet-1K, 50 images per class; the added networks are those of table 5.
_base_ = ['./resnet18_imagenet_ipc10.py']

train_cfg = dict(budget=dict(n=50))
measured = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
]
evaluation = dict(
    students={
        'MobileNet-V2': ['configs/_base_/models/mobilenet-v2.py', *measured],
        'EfficientNet-B0': ['configs/_base_/models/efficientnet-b0.py', *measured],
        'Swin-T': ['configs/_base_/models/swin-t.py', *measured],
        'ViT-B': ['configs/_base_/models/vit-b16.py', *measured],
    })
