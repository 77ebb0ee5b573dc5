# A tiny FLUX.1 [dev] with random weights, see tiny_random.py.
_base_ = ['./tiny_random.py']

model = dict(
    diffusion=dict(
        _delete_=True,
        type='Flux',
        steps=4,
        dtype='fp32',
        max_sequence_length=77,
        transformer=dict(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            guidance_embeds=True,
            axes_dims_rope=(2, 2, 4)),
        vae=dict(_base_.vae, shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=dict(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2),
        text_encoder_2=dict(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2),
        tokenizer=_base_.words,
        tokenizer_2=_base_.words,
        scheduler=dict(type='FlowMatchEulerDiscreteScheduler', use_dynamic_shifting=True)))
