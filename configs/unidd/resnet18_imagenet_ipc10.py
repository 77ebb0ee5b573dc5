# Table 1, ImageNet-1K. The student learns from a teacher online, as in RDED.
_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/unidd_cls.py']

model = dict(
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagenet_cls.py',
            'configs/_base_/schedules/proxy_cls_imagenet.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_imagenet.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
evaluation = dict(protocol=[
    'configs/_base_/models/resnet18.py',
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
])
