# Table 1, ImageNet-100: one patch per image. Soft labels of a ResNet-18, stored.
_base_ = ['../_base_/datasets/imagenet100_real_cls.py', '../_base_/patch_selection_cls.py']

train_cfg = dict(budget=dict(type='IPC', n=100), writer=dict(folders='wnid'))
measured = [
    'configs/_base_/datasets/imagenet100_cls.py',
    'configs/_base_/protocols/fkd_soft.py',
    'configs/_base_/teachers/resnet18_imagenet100.py',
    # RDED's batch for this number of images, see the README
    dict(protocol=dict(schedule=dict(batch_size=200))),
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py', *measured],
    students={
        'ResNet-101': ['configs/_base_/models/resnet101.py', *measured],
    })
