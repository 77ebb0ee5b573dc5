# UniDD on single digits: 100 images for a classifier, for two CPU cores.
_base_ = [
    '../_base_/datasets/digits_real_cls.py', '../_base_/diffusions/digits_sd.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='UniDD',
    image_size=64,
    # The energy looks through the small decoder: a guided step takes 0.6 of the time.
    diffusion=dict(
        cfg_scale=4.0, steps=12, energy_decoder='mmdd::priors/digits-sd/small_decoder'),
    proxy=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
    label_sampler=dict(type='RandomLabelSampler'),
    # A class holds no context to word; 58.6 against 49.4 % on the validation split without and
    # with the words 'on a textured background', which the prior never read without places (an
    # earlier prior and earlier students).
    prompter=dict(type='ClassPrompter', plural=''),
    refiners=[dict(type='ProxyRefiner', threshold=0.9)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    # A step as long as a fifth of the noise prediction, as for the scenes.
    dict(type='TaskGuidanceHook', scale=0.2, step='relative', stop=0.7),
]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=10,
    max_rounds=4)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
