# Table 5, ImageWoof: DiffFit: no criterion.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(model=dict(representativeness='none', diversity='none')),
        ],
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imagewoof_difffit.pth'))
