# Table 5, third row: guidance of the proxy and contextual prompts, no refinement. The label of
# a classification set has no context to tell, so GPT-4o does.
_base_ = './resnet18_imagewoof_ipc10_gpt-4o.py'
model = dict(refiners=[])
