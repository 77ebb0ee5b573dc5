# 10 images a digit that the proxy is less sure of; no network and no GPU needed.
_base_ = 'mmdd::unidd/convnet_digits_ipc10.py'
custom_imports = dict(imports=['entropy_guidance'])

model = dict(type='EntropyGuidance', refiners=[])
custom_hooks = [dict(type='ContactSheetHook'), dict(type='EntropyGuidanceHook', scale=0.05)]
train_cfg = dict(max_rounds=1)
