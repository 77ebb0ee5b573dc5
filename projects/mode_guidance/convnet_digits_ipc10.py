# 10 images a digit, pulled to the modes of their class; no network and no GPU needed.
_base_ = [
    'mmdd::_base_/datasets/digits_real_cls.py',
    'mmdd::_base_/diffusions/digits_sd.py',
    'mmdd::_base_/distill_runtime.py',
]
custom_imports = dict(imports=['mode_guidance'])

model = dict(
    type='ModeGuidance',
    image_size=64,
    diffusion=dict(steps=50, cfg_scale=4.0),
    # the modes of D4M on the same digits
    statistics=dict(type='LatentClusters', expand=10, batch_size=64),
    prompter=dict(type='ClassPrompter', plural=''))
custom_hooks = [dict(type='ContactSheetHook'), dict(type='ModeGuidanceHook', scale=0.1, stop=0.48)]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=10,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
