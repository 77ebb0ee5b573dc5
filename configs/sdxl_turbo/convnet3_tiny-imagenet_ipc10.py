# Table 1, Tiny ImageNet, SDXL-Turbo alone: 10 generated images per class, scaled to 64 pixels.
_base_ = ['../_base_/datasets/tiny_imagenet_real_cls.py', '../_base_/sdxl_turbo_cls.py']

model = dict(set_stages=[dict(type='PostAugmentation', size=64, copies=0)])
train_cfg = dict(budget=dict(type='IPC', n=10), writer=dict(folders='wnid'))
evaluation = dict(protocol=[
    'configs/_base_/models/convnet3.py',
    'configs/_base_/datasets/tiny_imagenet_cls.py',
    'configs/_base_/protocols/challenge.py',
    dict(
        model=dict(head=dict(in_channels=128 * 8 * 8)),
        protocol=dict(schedule=dict(image_size=64))),
])
