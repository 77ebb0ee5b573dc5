# 10 images a digit out of 40, on the embedded prior; no network and no GPU needed.
_base_ = 'mmdd::unidd/convnet_digits_ipc10.py'
custom_imports = dict(imports=['cao2_selection'])

model = dict(
    type='CaO2Selection',
    refiners=[],
    set_stages=[dict(type='ConfidenceSelection', pool=4, confident_up_to=10)])
custom_hooks = [dict(type='ContactSheetHook')]
train_cfg = dict(max_rounds=1)
