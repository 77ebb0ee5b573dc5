# A coreset of a classification set: real images, written like a distilled set.
_base_ = './distill_runtime.py'
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=64, max_rounds=1)
