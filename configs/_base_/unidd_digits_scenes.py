# UniDD on scenes of the embedded digits, boxes or masks, for two CPU cores. What detection and
# segmentation share; a leaf adds the real set, the proxy, the threshold, the budget and the
# students. configs/unidd/README.md says what differs from the paper's settings, and why.
_base_ = ['./diffusions/digits_sd.py', './distill_runtime.py']

model = dict(
    type='UniDD',
    # The size that the prior was trained on.
    image_size=64,
    # The energy looks through the small decoder: a guided step takes 0.6 of the time.
    diffusion=dict(
        cfg_scale=4.0, steps=8, energy_decoder='mmdd::priors/digits-sd/small_decoder'),
    # Ten balanced scenes hold 26 ± 3 digits, as the seed will have it; stratified ones 25.
    label_sampler=dict(type='BalancedLabelSampler', stratified=True),
    prompter=dict(type='AnnotationPrompter', plural='', background='on a textured background'),
    # From noise as the paper does. What fails twice starts from the real image of its labels, or
    # from the real objects: a third of the slots kept a reject after eight rounds of noise.
    initializer=dict(type='CollageInitializer', strength=0.6, noise_rounds=2))
custom_hooks = [
    dict(type='ContactSheetHook'),
    # A step as long as a fifth of the noise prediction, whatever the gradient: the paper's
    # lambda of 100 leaves the images of this prior. The last steps are the prior's alone: what
    # guidance adds there is no digit.
    dict(type='TaskGuidanceHook', scale=0.2, step='relative', stop=0.7),
]
train_cfg = dict(type='DistillLoop', batch_size=10, max_rounds=8)
