# With the prompts of the paper: GPT-4o instead of the annotation.
_base_ = ['./lraspp_voc_3.5pct.py', '../_base_/prompters/gpt-4o.py']
model = dict(prompter=_base_.gpt4o)
