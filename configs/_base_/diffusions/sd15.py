# Stable Diffusion v1.5 (UniDD, section 4.1): 250 DDIM steps. `pretrained` takes a local
# folder in diffusers' layout or a hub id.
model = dict(
    diffusion=dict(
        type='StableDiffusion',
        pretrained='stable-diffusion-v1-5/stable-diffusion-v1-5',
        steps=250,
        cfg_scale=7.5,
        scheduler=dict(type='DDIMScheduler')))
