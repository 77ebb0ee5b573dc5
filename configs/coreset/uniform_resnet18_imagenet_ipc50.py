_base_ = './uniform_resnet18_imagenet_ipc10.py'
train_cfg = dict(budget=dict(n=50))
