# 10 images a digit, pulled to the modes of their class; statistics and set are those of D4M.
_base_ = 'mmdd::configs/d4m/convnet_digits_ipc10.py'
custom_imports = dict(imports=['mode_guidance'])

model = dict(type='ModeGuidance', diffusion=dict(steps=50, cfg_scale=4.0))
custom_hooks = [dict(type='ContactSheetHook'), dict(type='ModeGuidanceHook', scale=0.1, stop=0.48)]
