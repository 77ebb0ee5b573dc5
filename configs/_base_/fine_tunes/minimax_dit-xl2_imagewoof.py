_base_ = ['../datasets/imagewoof_real_cls.py', './minimax_dit-xl2.py']

train_dataloader = {{_base_.fine_tune_dataloader}}
model = dict(num_classes=10, diffusion=dict(class_map='imagewoof'))
