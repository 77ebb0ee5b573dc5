# SDXL-Turbo as its card and the paper run it: one step of Euler ancestral from the last
# timestep, no guidance, half precision. `pretrained` takes a local folder in diffusers' layout
# or a hub id; `vae='madebyollin/sdxl-vae-fp16-fix'` decodes in half precision too.
model = dict(
    diffusion=dict(
        type='StableDiffusionXL',
        pretrained='stabilityai/sdxl-turbo',
        variant='fp16',
        dtype='fp16',
        steps=1,
        cfg_scale=0.,
        scheduler=dict(type='EulerAncestralDiscreteScheduler', timestep_spacing='trailing')))
