# FLUX.1 [schnell] as its card runs it: 4 steps without guidance, up to 256 tokens of T5.
# `pretrained` takes a local folder in diffusers' layout or a hub id.
model = dict(
    diffusion=dict(
        type='Flux',
        pretrained='black-forest-labs/FLUX.1-schnell',
        steps=4,
        max_sequence_length=256))
