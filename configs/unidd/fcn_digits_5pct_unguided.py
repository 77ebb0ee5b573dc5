# Everything but the guidance of the proxy: what guidance itself adds.
_base_ = './fcn_digits_5pct.py'
custom_hooks = [dict(type='ContactSheetHook')]
