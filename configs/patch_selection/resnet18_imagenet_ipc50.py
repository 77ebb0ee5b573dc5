# Tables 1, 4 and 5, ImageNet-1K: one patch per image. Soft labels of a ResNet-18, stored.
_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/patch_selection_cls.py']

train_cfg = dict(budget=dict(type='IPC', n=50), writer=dict(folders='wnid'))
measured = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
    # RDED's batch for this number of images, see the README
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
