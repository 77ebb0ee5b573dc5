# A tiny DiT with random weights, see tiny_random.py; it knows up to 1,000 classes.
_base_ = ['./tiny_random.py']

model = dict(
    diffusion=dict(
        _delete_=True,
        type='DiT',
        steps=4,
        cfg_scale=2.0,
        dtype='fp32',
        transformer=dict(
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            sample_size=8,
            num_embeds_ada_norm=1000,
            out_channels=8),
        vae=_base_.vae,
        scheduler=_base_.scheduler))
