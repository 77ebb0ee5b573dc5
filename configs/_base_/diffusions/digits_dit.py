# The embedded class-conditional prior: a tiny DiT on single digits, 64x64. Its autoencoder is
# that of the embedded Stable Diffusion.
model = dict(
    diffusion=dict(
        type='DiT',
        pretrained='mmdd::priors/digits-dit',
        vae='mmdd::priors/digits-sd/vae',
        steps=50,
        cfg_scale=4.0))
