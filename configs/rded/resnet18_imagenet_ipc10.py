# Table 2, ImageNet-1K: 2 x 2 crops in an image. A ResNet-18 scores the crops and labels the
# students' batches; 'Hard labels' trains on the classes alone.
_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/rded_cls.py']

model = dict(
    proxy=dict(
        cfg=[
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagenet_cls.py',
            'configs/_base_/schedules/proxy_cls_imagenet.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_imagenet.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
soft = [
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
]
evaluation = dict(
    protocol=['configs/_base_/models/resnet18.py', *soft],
    students={
        'ResNet-101': ['configs/_base_/models/resnet101.py', *soft],
        'Hard labels': [
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagenet_cls.py',
            'configs/_base_/protocols/idc_hard.py',
        ],
    })
