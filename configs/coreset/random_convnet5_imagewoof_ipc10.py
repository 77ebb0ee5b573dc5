_base_ = ['../_base_/datasets/imagewoof_real_cls.py', '../_base_/coreset_cls.py']

model = dict(type='RandomCoreset')
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet5.py',
    'configs/_base_/datasets/imagewoof_cls.py',
    'configs/_base_/protocols/dc_dsa.py',
])
