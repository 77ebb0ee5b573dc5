# SDXL-Turbo distillation, section 4.1: class names as prompts, within the challenge's 10 minutes.
# A leaf adds the real set, the size that is written, the budget and the students.
_base_ = ['./diffusions/sdxl_turbo.py', './distill_runtime.py']

model = dict(type='SDXLTurbo', image_size=512)
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TimeBudgetHook', minutes=10.),
]
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=8, max_rounds=1)
