# A tiny Stable Diffusion XL with random weights, see tiny_random.py: one step, no guidance, as
# SDXL-Turbo.
_base_ = ['./tiny_random.py']

model = dict(
    diffusion=dict(
        type='StableDiffusionXL',
        steps=1,
        cfg_scale=0.,
        unet=dict(
            # the hidden states of both text encoders
            cross_attention_dim=16 + 24,
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type='text_time',
            addition_time_embed_dim=8,
            # the pooled projection, and six sizes
            projection_class_embeddings_input_dim=16 + 6 * 8),
        vae=dict(scaling_factor=0.13025),
        text_encoder=dict(num_hidden_layers=2),
        text_encoder_2=dict(
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=16),
        tokenizer_2=_base_.words,
        scheduler=dict(type='EulerAncestralDiscreteScheduler', timestep_spacing='trailing')))
