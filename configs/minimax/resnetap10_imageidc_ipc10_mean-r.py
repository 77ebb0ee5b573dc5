# Table 5, ImageIDC: L_r to the mean of the batch (equation 2), no L_d.
_base_ = './resnetap10_imageidc_ipc10.py'

model = dict(
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imageidc.py',
            dict(model=dict(representativeness='mean', diversity='none')),
        ],
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imageidc_mean-r.pth'))
