_base_ = [
    '../_base_/datasets/voc0712_real_det.py', '../_base_/diffusions/sd15.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='UniDD',
    image_size=512,
    # the stock VOC schedule of proxy and students ignores smaller boxes
    min_box=32,
    proxy=dict(type='DetectorProxy', cfg='configs/_base_/proxies/faster-rcnn_r50_voc0712.py'),
    label_sampler=dict(type='RandomLabelSampler'),
    prompter=dict(type='AnnotationPrompter'),
    refiners=[dict(type='ProxyRefiner', threshold=0.85)])
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TaskGuidanceHook', scale=100., wrt='latent'),
]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='Ratio', percent=1),
    writer=dict(type='VOCWriter'),
    batch_size=4,
    max_rounds=4)
evaluation = dict(protocol='configs/_base_/protocols/det_voc.py')
