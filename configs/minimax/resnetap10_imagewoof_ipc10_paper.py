# ImageWoof by the letter of the paper, where the released code differs from it; see the README.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    diffusion=dict(
        vae=None, cfg_channels=None, scheduler=dict(_delete_=True, type='DDIMScheduler')),
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(
                model=dict(
                    diffusion=dict(vae=None),
                    estimate='difference',
                    pairs='item',
                    sample_posterior=False,
                    variational=False,
                    scale_layers=('attn', 'ff'),
                    scale_blocks=None)),
        ],
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imagewoof_paper.pth',
        weights='last'))
