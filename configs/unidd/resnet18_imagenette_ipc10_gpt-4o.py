# With the prompts of the paper: GPT-4o instead of the annotation.
_base_ = ['./resnet18_imagenette_ipc10.py', '../_base_/prompters/gpt-4o.py']
model = dict(prompter=_base_.gpt4o)
