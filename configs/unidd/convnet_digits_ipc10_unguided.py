# Everything but the guidance of the proxy: what guidance itself adds.
_base_ = './convnet_digits_ipc10.py'
custom_hooks = [dict(type='ContactSheetHook')]
