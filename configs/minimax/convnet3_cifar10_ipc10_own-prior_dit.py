# The raw DiT: what the fine-tuning changes.
_base_ = './convnet3_cifar10_ipc10_own-prior.py'

model = dict(fine_tune=None)
