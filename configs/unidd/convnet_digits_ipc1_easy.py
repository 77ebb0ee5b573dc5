# One image a class, asked for by the labels of the real one that the proxy is surest of.
_base_ = './convnet_digits_ipc10_easy.py'
train_cfg = dict(budget=dict(n=1))
