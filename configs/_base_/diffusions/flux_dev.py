# FLUX.1 [dev] as its card runs it: 50 steps, guidance 3.5 as an input of the denoiser, one branch.
# `pretrained` takes a local folder in diffusers' layout or a hub id.
model = dict(
    diffusion=dict(
        type='Flux',
        pretrained='black-forest-labs/FLUX.1-dev',
        steps=50,
        embedded_guidance=3.5,
        max_sequence_length=512))
