# A tiny Stable Diffusion 3 with random weights, see tiny_random.py.
_base_ = ['./tiny_random.py']

clip = dict(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    projection_dim=16)
model = dict(
    diffusion=dict(
        _delete_=True,
        type='StableDiffusion3',
        steps=4,
        cfg_scale=2.0,
        dtype='fp32',
        max_sequence_length=77,
        transformer=dict(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            pos_embed_max_size=96),
        vae=dict(_base_.vae, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip,
        text_encoder_2=clip,
        text_encoder_3=dict(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2),
        tokenizer=_base_.words,
        tokenizer_2=_base_.words,
        tokenizer_3=_base_.words,
        scheduler=dict(type='FlowMatchEulerDiscreteScheduler', shift=3.0)))
