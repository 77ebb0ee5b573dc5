# The small DiT of CIFAR-10: as many updates as the released code takes for ten classes.
_base_ = ['../datasets/cifar10_real_cls.py', './minimax.py']

model = dict(
    num_classes=10,
    diffusion=dict(type='DiT', pretrained='work_dirs/priors/cifar10_dit'),
    flip=0.5)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))

max_iters = 12000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
