# The embedded prior: a tiny Stable Diffusion on digit scenes, 64x64.
model = dict(
    diffusion=dict(
        type='StableDiffusion',
        pretrained='mmdd::priors/digits-sd',
        steps=25,
        cfg_scale=4.0))
