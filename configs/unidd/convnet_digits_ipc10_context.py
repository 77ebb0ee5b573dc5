# Table 5, third row: guidance of the proxy and contextual prompts, no refinement.
_base_ = './convnet_digits_ipc10.py'
model = dict(refiners=[])
