# Table 2, CIFAR-100: one crop an image. Observer and student are the same network.
_base_ = ['../_base_/datasets/cifar100_real_cls.py', '../_base_/rded_cls.py']

model = dict(
    image_size=32,
    proxy=dict(
        cfg=[
            'configs/_base_/models/convnet3_bn.py',
            'configs/_base_/schedules/teacher_cls.py',
            'configs/_base_/datasets/cifar100_cls.py',
            'configs/_base_/models/imagenet_colours.py',
        ],
        checkpoint='work_dirs/teachers/convnet3_cifar100.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10))
soft = [
    'configs/_base_/datasets/cifar100_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/convnet3_cifar100.py',
    # batch and learning rate of the released code for this pair
    dict(
        protocol=dict(schedule=dict(image_size=32, fixed=[(100, 25), (200, 100)])),
        optim_wrapper=dict(optimizer=dict(lr=2e-3))),
]
evaluation = dict(
    protocol=['configs/_base_/models/convnet3_bn.py', *soft],
    students={
        'Hard labels': [
            'configs/_base_/models/convnet3_bn.py',
            'configs/_base_/datasets/cifar100_cls.py',
            'configs/_base_/protocols/idc_hard.py',
            dict(protocol=dict(schedule=dict(image_size=32))),
        ],
    })
