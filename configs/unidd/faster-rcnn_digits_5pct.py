_base_ = [
    '../_base_/datasets/digits_real_det.py', '../_base_/diffusions/digits_sd.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='UniDD',
    image_size=64,
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_digits.py',
        checkpoint='work_dirs/digits/faster-rcnn_proxy.pth'),
    label_sampler=dict(type='BalancedLabelSampler'),
    prompter=dict(type='AnnotationPrompter', plural='', background='on a textured background'),
    refiners=[dict(type='ProxyRefiner', threshold=0.85)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TaskGuidanceHook', scale=10., max_norm=None),
]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='Ratio', percent=5),
    writer=dict(type='VOCWriter'),
    batch_size=10,
    max_rounds=4)
evaluation = dict(protocol='configs/_base_/protocols/det_digits.py')
