# One image a class, which starts from the real one that the proxy is surest of.
_base_ = './convnet_digits_ipc10_easy_from-real.py'
train_cfg = dict(budget=dict(n=1))
