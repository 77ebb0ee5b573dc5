# Table 5, first row: the prior alone, class names as prompts, the slots' labels as they are.
_base_ = './fcn_digits_5pct_proxy.py'
custom_hooks = [dict(type='ContactSheetHook')]
