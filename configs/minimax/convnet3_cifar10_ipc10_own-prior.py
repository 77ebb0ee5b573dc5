# Minimax on CIFAR-10, on a DiT that was trained on it; not in the paper.
_base_ = '../_base_/cifar10_dit_cls.py'

model = dict(
    type='Minimax',
    fine_tune=dict(
        type='FineTuned',
        cfg='configs/_base_/fine_tunes/minimax_dit_cifar10.py',
        checkpoint='work_dirs/fine_tuned/minimax_dit_cifar10.pth'))
