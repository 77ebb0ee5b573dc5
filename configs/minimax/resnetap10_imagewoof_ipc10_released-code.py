# ImageWoof as the released code makes it, where it differs from the paper or says more; see the
# README.
_base_ = './resnetap10_imagewoof_ipc10.py'

model = dict(
    diffusion=dict(
        vae='stabilityai/sd-vae-ft-mse',
        cfg_channels=3,
        scheduler=dict(
            type='DDPMScheduler', variance_type='learned_range', timestep_spacing='linspace')),
    fine_tune=dict(
        cfg=[
            'configs/_base_/fine_tunes/minimax_dit-xl2_imagewoof.py',
            dict(
                model=dict(
                    diffusion=dict(vae='stabilityai/sd-vae-ft-ema'),
                    estimate='clean',
                    pairs='class',
                    sample_posterior=True,
                    variational=True,
                    scale_layers=('to_q', 'to_k', 'to_v', 'attn', 'ff'),
                    scale_blocks=14)),
        ],
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imagewoof_released-code.pth',
        weights='ema'))
