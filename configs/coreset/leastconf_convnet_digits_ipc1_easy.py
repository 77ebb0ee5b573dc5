_base_ = './leastconf_convnet_digits_ipc10_easy.py'
train_cfg = dict(budget=dict(n=1))
