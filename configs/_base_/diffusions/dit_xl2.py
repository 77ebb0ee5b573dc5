# DiT-XL/2 of ImageNet-1K at 256 pixels (Minimax, section 4.1): 50 steps. `pretrained` takes a
# local folder in diffusers' layout or a hub id. The released code samples by its ancestral
# sampler and guides 3 of the 4 latent channels:
#   model.diffusion.scheduler=dict(type='DDPMScheduler', variance_type='learned_range',
#                                  timestep_spacing='linspace'), model.diffusion.cfg_channels=3
# and decodes by stabilityai/sd-vae-ft-mse: model.diffusion.vae.
model = dict(
    diffusion=dict(
        type='DiT',
        pretrained='facebook/DiT-XL-2-256',
        steps=50,
        cfg_scale=4.0,
        scheduler=dict(type='DDIMScheduler')))
