_base_ = './herding_convnet5_imagenette_ipc10.py'
train_cfg = dict(budget=dict(n=50))
