# Minimax, table 1, ImageWoof: real images drawn at random, hard labels.
_base_ = ['../_base_/datasets/imagewoof_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
hard_labels = ['configs/_base_/datasets/imagewoof_cls.py', 'configs/_base_/protocols/idc_hard.py']
evaluation = dict(
    protocol=['configs/_base_/models/resnetap10.py'] + hard_labels,
    students={
        'ConvNet-6': ['configs/_base_/models/convnet6.py'] + hard_labels,
        'ResNet-18': ['configs/_base_/models/resnet18_in.py'] + hard_labels,
    })
