# Table 1, Tiny ImageNet, SDXL-Turbo + PDA: the same 10 images per class, each with four copies.
_base_ = ['./convnet3_tiny-imagenet_ipc10.py']

model = dict(set_stages=[dict(type='PostAugmentation', size=64, copies=4)])
train_cfg = dict(budget=dict(n=50))
