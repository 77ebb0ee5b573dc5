# DiffFit: the fine-tuning without its criteria.
_base_ = './convnet_digits_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit_digits.py',
            dict(model=dict(representativeness='none', diversity='none')),
        ],
        checkpoint='work_dirs/digits/minimax_dit_difffit.pth'))
