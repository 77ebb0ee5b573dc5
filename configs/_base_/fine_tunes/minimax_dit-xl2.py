# DiT-XL/2 on class folders of ImageNet: 8 epochs of batches of 8. Trains some 0.25 % of its
# parameters; the checkpoints hold these alone.
_base_ = './minimax.py'

model = dict(
    diffusion=dict(
        type='DiT', pretrained='facebook/DiT-XL-2-256', vae='stabilityai/sd-vae-ft-ema'),
    # as the released code has it; the paper leaves it open
    flip=0.5,
    sample_posterior=True,
    variational=True,
    scale_layers=('to_q', 'to_k', 'to_v', 'attn', 'attn', 'ff'),
    scale_blocks=14,
    gradient_checkpointing=True)

fine_tune_dataloader = dict(
    batch_size=8,
    num_workers=4,
    drop_last=True,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow',
                 interpolation='bicubic'),
            dict(type='CenterCrop', crop_size=256),
            dict(type='PackInputs'),
        ]))

train_cfg = dict(by_epoch=True, max_epochs=8)
# What is sampled from. About 30 % of this average is still the pretrained DiT.
custom_hooks = [
    dict(type='FineTuneCheckHook'),
    dict(type='EMAHook', momentum=0.0001),
]
