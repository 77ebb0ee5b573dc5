# With the prompts of the paper: GPT-4o instead of the annotation.
_base_ = ['./faster-rcnn_voc_1pct.py', '../_base_/prompters/gpt-4o.py']
model = dict(prompter=_base_.gpt4o)
