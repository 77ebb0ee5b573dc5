# The architecture of SDXL-Turbo with random weights: what it costs can be measured without
# downloading it.
_base_ = ['./sdxl_turbo.py']

text_encoder = dict(vocab_size=49408, hidden_size=768, intermediate_size=3072,
                    num_hidden_layers=12, num_attention_heads=12)
text_encoder_2 = dict(vocab_size=49408, hidden_size=1280, intermediate_size=5120,
                      num_hidden_layers=32, num_attention_heads=20, hidden_act='gelu',
                      projection_dim=1280)
model = dict(
    diffusion=dict(
        pretrained=None,
        unet=dict(
            sample_size=64,
            block_out_channels=(320, 640, 1280),
            layers_per_block=2,
            down_block_types=('DownBlock2D', ) + ('CrossAttnDownBlock2D', ) * 2,
            up_block_types=('CrossAttnUpBlock2D', ) * 2 + ('UpBlock2D', ),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type='text_time',
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816),
        vae=dict(
            sample_size=512,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=('DownEncoderBlock2D', ) * 4,
            up_block_types=('UpDecoderBlock2D', ) * 4,
            scaling_factor=0.13025),
        text_encoder=text_encoder,
        tokenizer=['a', 'photo', 'of', 'and'],
        text_encoder_2=text_encoder_2,
        tokenizer_2=['a', 'photo', 'of', 'and'],
        scheduler=dict(
            beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')))
