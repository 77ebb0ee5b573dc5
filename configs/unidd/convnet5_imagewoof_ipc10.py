# Table 2, ImageWoof: guided by a ResNet-18, measured with a 5-layer ConvNet.
_base_ = ['../_base_/datasets/imagewoof_real_cls.py', '../_base_/unidd_cls.py']

model = dict(
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18.py',
            'configs/_base_/datasets/imagewoof_cls.py',
            'configs/_base_/schedules/proxy_cls.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_imagewoof.pth'))
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet5.py',
    'configs/_base_/datasets/imagewoof_cls.py',
    'configs/_base_/protocols/dc_dsa.py',
])
