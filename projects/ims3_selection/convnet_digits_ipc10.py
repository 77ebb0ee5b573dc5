# 10 images a digit, the best of 5 tens, on the embedded prior; no network and no GPU needed.
_base_ = 'mmdd::unidd/convnet_digits_ipc10.py'
custom_imports = dict(imports=['ims3_selection'])

model = dict(
    type='IMS3Selection',
    refiners=[],
    set_stages=[dict(type='SubgroupSelection', groups=5, alpha=0.4, beta=0.9)])
custom_hooks = [dict(type='ContactSheetHook')]
train_cfg = dict(max_rounds=1)
