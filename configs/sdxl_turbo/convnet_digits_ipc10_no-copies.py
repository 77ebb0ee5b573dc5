# Ten generated images per class and no copies: what distinct images add at the same budget.
_base_ = './convnet_digits_ipc10.py'
model = dict(set_stages=[dict(type='PostAugmentation', size=32, copies=0)])
