# UniDD on masks of digit scenes: 50 of 1,000 scenes, for two CPU cores.
_base_ = [
    '../_base_/datasets/digits_real_seg.py', '../_base_/diffusions/digits_sd.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='UniDD',
    # Larger than the real 64 pixels: the prior draws larger digits better.
    image_size=96,
    # The energy looks through the small decoder: a guided step takes 0.6 of the time.
    diffusion=dict(
        cfg_scale=2.0, steps=20, energy_decoder='mmdd::priors/digits-sd/small_decoder'),
    proxy=dict(
        type='SegmentorProxy',
        cfg='configs/_base_/proxies/fcn_digits.py',
        checkpoint='work_dirs/digits/fcn_proxy.pth'),
    label_sampler=dict(type='BalancedLabelSampler'),
    prompter=dict(type='AnnotationPrompter', plural='', background='on a textured background'),
    refiners=[dict(type='ProxyRefiner', threshold=0.75)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    # The paper's scale; clipped to a quarter of the norm of the noise, which keeps the colours.
    # The last steps are the prior's alone: what guidance adds there is no digit.
    dict(type='TaskGuidanceHook', scale=100., max_norm=12., stop=0.7),
]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='Ratio', percent=5),
    writer=dict(type='SegMapWriter'),
    batch_size=10,
    max_rounds=4)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/seg_digits.py')
