# The embedded DiT on single digits: about a minute and a half on two CPU cores.
_base_ = ['../datasets/digits_real_cls.py', './minimax.py']

model = dict(
    num_classes=10,
    diffusion=dict(
        type='DiT', pretrained='mmdd::priors/digits-dit', vae='mmdd::priors/digits-sd/vae'))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))

max_iters = 300
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100))
log_processor = dict(by_epoch=False)
