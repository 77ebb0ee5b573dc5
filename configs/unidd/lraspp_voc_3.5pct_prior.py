# Table 5, first row: the prior alone, class names as prompts, the slots' labels as they are.
_base_ = './lraspp_voc_3.5pct_proxy.py'
custom_hooks = [dict(type='ContactSheetHook')]
