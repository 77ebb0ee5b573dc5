# The embedded prior on single digits: about a minute on a CPU core. It shows that the loss
# falls; the prior draws these digits well without.
_base_ = ['../datasets/digits_real_cls.py', '../diffusions/digits_sd.py', './lora.py']

prepare = [dict(type='DigitScenes', root='data/digit_scenes/')]
model = dict(prompter=dict(type='ClassPrompter', plural=''))
train_dataloader = dict(
    batch_size=16,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
optim_wrapper = dict(optimizer=dict(lr=1e-3))

max_iters = 200
train_cfg = dict(max_iters=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
