# DiT-XL/2 on class folders of ImageNet: 8 epochs of batches of 8. Trains some 0.25 % of its
# parameters; the checkpoints hold these alone.
_base_ = './minimax.py'

model = dict(
    diffusion=dict(type='DiT', pretrained='facebook/DiT-XL-2-256'),
    # what the released code does and the paper leaves open
    flip=0.5,
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
# The released code samples from this average (model.fine_tune.weights='ema'), which outlives the
# run: about 30 % of it is still the pretrained DiT. The paper mentions none.
custom_hooks = [
    dict(type='FineTuneCheckHook'),
    dict(type='EMAHook', momentum=0.0001),
]
