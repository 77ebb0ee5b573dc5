# Table 4, ImageNet-1K: the same set, labelled by a MobileNet-V2.
_base_ = './resnet18_imagenet_ipc50.py'
measured = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/mobilenet-v2_imagenet.py',
    dict(protocol=dict(schedule=dict(batch_size=200))),
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py', *measured],
    students={
        'ResNet-101': ['configs/_base_/models/resnet101.py', *measured],
        'ResNet-50': ['configs/_base_/models/resnet50.py', *measured],
        'MobileNet-V2': ['configs/_base_/models/mobilenet-v2.py', *measured],
        'EfficientNet-B0': ['configs/_base_/models/efficientnet-b0.py', *measured],
        'Swin-T': ['configs/_base_/models/swin-t.py', *measured],
        'ViT-B': ['configs/_base_/models/vit-b16.py', *measured],
    })
