# Table 5, first row: the prior alone, class names as prompts, the slots' labels as they are.
_base_ = './resnet18_imagewoof_ipc10_proxy.py'
custom_hooks = [dict(type='ContactSheetHook')]
