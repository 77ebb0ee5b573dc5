# One image per class is worth a larger pool: the two best of eight seeds are guided.
_base_ = './convnet_digits_ipc10_pool.py'
model = dict(pool=dict(size=8, keep=2, screen_steps=8))
train_cfg = dict(budget=dict(n=1))
