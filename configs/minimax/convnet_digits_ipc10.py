# Minimax on single digits: 100 images for a classifier, for two CPU cores.
_base_ = [
    '../_base_/datasets/digits_real_cls.py', '../_base_/diffusions/digits_dit.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='Minimax',
    image_size=64,
    fine_tune=dict(
        type='FineTuned',
        cfg='configs/_base_/fine_tunes/minimax_dit_digits.py',
        checkpoint='work_dirs/digits/minimax_dit.pth'))
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=20,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
