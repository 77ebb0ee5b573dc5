# The embedded prior on single digits: some 90 seconds on a CPU core. It shows the way; the prior
# draws these digits well without.
_base_ = ['../datasets/digits_real_cls.py', './lora.py']

prepare = [dict(type='DigitScenes', root='data/digit_scenes/')]
model = dict(
    diffusion=dict(type='StableDiffusion', pretrained='mmdd::priors/digits-sd'),
    prompter=dict(type='ClassPrompter', plural=''))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
optim_wrapper = dict(optimizer=dict(lr=1e-3))

max_iters = 100
train_cfg = dict(max_iters=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
