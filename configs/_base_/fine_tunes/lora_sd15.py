# Stable Diffusion v1.5 on class folders of one's own: data/own/train/<class>/*.jpg.
_base_ = './lora.py'

model = dict(
    diffusion=dict(
        type='StableDiffusion',
        pretrained='stable-diffusion-v1-5/stable-diffusion-v1-5',
        offload_text_encoders=False),
    sample_posterior=True,
    gradient_checkpointing=True)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='data/own/',
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=512, edge='short', backend='pillow',
                 interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=512),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]))
