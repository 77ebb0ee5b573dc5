# Stable Diffusion 3.5 medium as its card runs it: 40 steps, guidance scale 4.5. The first Stable
# Diffusion 3 medium is stabilityai/stable-diffusion-3-medium-diffusers, 28 steps at scale 7.
# `pretrained` takes a local folder in diffusers' layout or a hub id; `use_t5=False` leaves out the
# largest text encoder.
model = dict(
    diffusion=dict(
        type='StableDiffusion3',
        pretrained='stabilityai/stable-diffusion-3.5-medium',
        steps=40,
        cfg_scale=4.5))
