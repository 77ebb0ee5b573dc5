# UniDD on scenes of the embedded digits, boxes or masks, for two CPU cores. What detection and
# segmentation share; a leaf adds the real set, the proxy, the threshold, the budget and the
# students.
_base_ = ['./diffusions/digits_sd.py', './distill_runtime.py']

model = dict(
    type='UniDD',
    # Larger than the real 64 pixels: the prior draws larger digits better.
    image_size=96,
    # The energy looks through the small decoder: a guided step takes 0.6 of the time.
    diffusion=dict(
        cfg_scale=2.0, steps=20, energy_decoder='mmdd::priors/digits-sd/small_decoder'),
    label_sampler=dict(type='BalancedLabelSampler'),
    prompter=dict(type='AnnotationPrompter', plural='', background='on a textured background'))
custom_hooks = [
    dict(type='ContactSheetHook'),
    # The paper's scale; clipped to a quarter of the norm of the noise, which keeps the colours.
    # The last steps are the prior's alone: what guidance adds there is no digit.
    dict(type='TaskGuidanceHook', scale=100., max_norm=12., stop=0.7),
]
train_cfg = dict(type='DistillLoop', batch_size=10, max_rounds=4)
