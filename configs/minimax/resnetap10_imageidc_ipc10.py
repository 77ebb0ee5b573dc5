# Table 3, ImageIDC: one DiT-XL/2 is fine-tuned for all budgets.
_base_ = ['../_base_/datasets/imageidc_real_cls.py', '../_base_/minimax_cls.py']

model = dict(
    diffusion=dict(class_map='imageidc'),
    fine_tune=dict(
        cfg='configs/_base_/fine_tunes/minimax_dit-xl2_imageidc.py',
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imageidc.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10))
hard_labels = ['configs/_base_/datasets/imageidc_cls.py', 'configs/_base_/protocols/idc_hard.py']
evaluation = dict(
    protocol=['configs/_base_/models/resnetap10.py'] + hard_labels)
