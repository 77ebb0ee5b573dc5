# Table 5, first row: the prior alone, class names as prompts, the slots' boxes as labels.
_base_ = './faster-rcnn_digits_5pct.py'

model = dict(
    prompter=dict(
        _delete_=True, type='ClassPrompter', plural=''),
    refiners=[])
custom_hooks = [dict(type='ContactSheetHook')]
