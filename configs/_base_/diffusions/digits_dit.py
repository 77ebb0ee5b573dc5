# The embedded class-conditional prior: a tiny DiT on single digits, 64x64. Its autoencoder is
# that of the embedded Stable Diffusion. Of 100 samples 80 are read as asked at scale 4, 90 at 7
# and 92 at 10 (mmdd/priors/digits-dit).
model = dict(
    diffusion=dict(
        type='DiT',
        pretrained='mmdd::priors/digits-dit',
        vae='mmdd::priors/digits-sd/vae',
        steps=50,
        cfg_scale=7.0))
