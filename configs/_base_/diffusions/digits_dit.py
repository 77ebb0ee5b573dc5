# The embedded class-conditional prior: a tiny DiT on single digits, 64x64. Its autoencoder is
# that of the embedded Stable Diffusion. Students learn most from samples at scale 5 (3, 5 and 7
# were tried on the validation split, mmdd/priors/digits-dit).
model = dict(
    diffusion=dict(
        type='DiT',
        pretrained='mmdd::priors/digits-dit',
        vae='mmdd::priors/digits-sd/vae',
        steps=50,
        cfg_scale=5.0))
