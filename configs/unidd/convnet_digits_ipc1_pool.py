_base_ = './convnet_digits_ipc10_pool.py'
train_cfg = dict(budget=dict(n=1))
