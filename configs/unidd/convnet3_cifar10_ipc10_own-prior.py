# UniDD on CIFAR-10, on a DiT that was trained on it in place of Stable Diffusion: the class is the
# condition, there is no prompt. Not in the paper.
_base_ = '../_base_/cifar10_dit_cls.py'

model = dict(
    type='UniDD',
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnet18_cifar.py',
            'configs/_base_/datasets/cifar10_cls.py',
            'configs/_base_/schedules/proxy_cifar.py',
        ],
        checkpoint='work_dirs/proxies/resnet18_cifar10.pth'),
    label_sampler=dict(type='RandomLabelSampler'),
    refiners=[dict(type='ProxyRefiner', threshold=0.9)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    # A step as long as a fifth of the noise prediction, as on digits; it was not tuned here.
    dict(type='TaskGuidanceHook', scale=0.2, step='relative', stop=0.7),
]
train_cfg = dict(max_rounds=4)
