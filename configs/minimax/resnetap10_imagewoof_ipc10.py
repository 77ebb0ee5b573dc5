# Table 1, ImageWoof: one DiT-XL/2 is fine-tuned for all budgets.
_base_ = ['../_base_/datasets/imagewoof_real_cls.py', '../_base_/minimax_cls.py']

model = dict(
    diffusion=dict(class_map='imagewoof'),
    fine_tune=dict(
        cfg='configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imagewoof.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10))
hard_labels = ['configs/_base_/datasets/imagewoof_cls.py', 'configs/_base_/protocols/idc_hard.py']
evaluation = dict(
    protocol=['configs/_base_/models/resnetap10.py'] + hard_labels,
    students={
        'ConvNet-6': ['configs/_base_/models/convnet6.py'] + hard_labels,
        'ResNet-18': ['configs/_base_/models/resnet18_in.py'] + hard_labels,
    })
