# DiT-XL/2 of ImageNet-1K at 256 pixels (Minimax, section 4.1), sampled as the released code does:
# 50 steps of the ancestral sampler with learned variance, 3 of the 4 latent channels guided,
# decoded by the autoencoder of SD that was fine-tuned for squared errors. `pretrained` takes a
# local folder in diffusers' layout or a hub id. DDIM instead:
#   model.diffusion.scheduler=dict(_delete_=True, type='DDIMScheduler')
model = dict(
    diffusion=dict(
        type='DiT',
        pretrained='facebook/DiT-XL-2-256',
        vae='stabilityai/sd-vae-ft-mse',
        steps=50,
        cfg_scale=4.0,
        cfg_channels=3,
        scheduler=dict(
            type='DDPMScheduler', variance_type='learned_range', timestep_spacing='linspace')))
