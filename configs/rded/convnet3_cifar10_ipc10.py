# Table 2, CIFAR-10: one crop an image. Observer and student are the same network.
_base_ = ['../_base_/datasets/cifar10_real_cls.py', '../_base_/rded_cls.py']

model = dict(
    image_size=32,
    proxy=dict(
        cfg=[
            'configs/_base_/models/convnet3_bn.py',
            'configs/_base_/schedules/teacher_cls.py',
            'configs/_base_/datasets/cifar10_cls.py',
            'configs/_base_/models/imagenet_colours.py',
        ],
        checkpoint='work_dirs/teachers/convnet3_cifar10.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10))
soft = [
    'configs/_base_/datasets/cifar10_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/convnet3_cifar10.py',
    dict(protocol=dict(schedule=dict(image_size=32))),
]
evaluation = dict(
    protocol=['configs/_base_/models/convnet3_bn.py', *soft],
    students={
        'Hard labels': [
            'configs/_base_/models/convnet3_bn.py',
            'configs/_base_/datasets/cifar10_cls.py',
            'configs/_base_/protocols/idc_hard.py',
            dict(protocol=dict(schedule=dict(image_size=32))),
        ],
    })
