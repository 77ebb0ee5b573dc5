# The raw DiT: what the fine-tuning changes.
_base_ = './convnet_digits_ipc10.py'

model = dict(fine_tune=None)
