# Table 5, ImageIDC: L_d to the mean of the memory, no L_r.
_base_ = './resnetap10_imageidc_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imageidc.py',
            dict(model=dict(representativeness='none', diversity='mean')),
        ],
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imageidc_mean-d.pth'))
