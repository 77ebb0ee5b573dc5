# 10 images a digit that share the mass of their class; no network and no GPU needed.
_base_ = [
    'mmdd::_base_/datasets/digits_real_cls.py',
    'mmdd::_base_/diffusions/digits_sd.py',
    'mmdd::_base_/distill_runtime.py',
]
custom_imports = dict(imports=['ot_guidance'])

model = dict(
    type='OTGuidance',
    image_size=64,
    diffusion=dict(steps=50, cfg_scale=4.0),
    statistics=dict(type='ClassSupport', points=10, batch_size=64),
    prompter=dict(type='ClassPrompter', plural=''))
custom_hooks = [dict(type='ContactSheetHook'), dict(type='OTGuidanceHook', scale=0.05)]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=10,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
