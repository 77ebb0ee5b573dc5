_base_ = ['../datasets/imagenet_real_cls.py', './minimax_dit-xl2.py']

train_dataloader = {{_base_.fine_tune_dataloader}}
model = dict(num_classes=1000)
