# A tiny Stable Diffusion with random weights, for images of 64 pixels: it draws noise, in
# milliseconds and without a download. For dry runs: all but the pictures is as with the real one.
vae = dict(
    sample_size=64,
    block_out_channels=(8, 8, 16, 16),
    norm_num_groups=4,
    layers_per_block=1,
    down_block_types=('DownEncoderBlock2D', ) * 4,
    up_block_types=('UpDecoderBlock2D', ) * 4)
scheduler = dict(
    type='DDIMScheduler', beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
words = ['a', 'photo', 'of', 'and']
model = dict(
    diffusion=dict(
        type='StableDiffusion',
        steps=4,
        cfg_scale=2.0,
        dtype='fp32',
        unet=dict(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D'),
            up_block_types=('CrossAttnUpBlock2D', 'UpBlock2D'),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=8),
        vae=vae,
        text_encoder=dict(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2),
        tokenizer=words,
        scheduler=scheduler))
