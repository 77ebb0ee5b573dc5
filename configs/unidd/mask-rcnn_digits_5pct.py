# UniDD for instance segmentation on the embedded digit scenes: 50 of 1,000 scenes, for two CPU
# cores. Not in the paper.
_base_ = ['../_base_/datasets/digits_real_ins.py', '../_base_/unidd_digits_scenes.py']

model = dict(
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/mask-rcnn_digits.py',
        checkpoint='work_dirs/digits/mask-rcnn_proxy.pth',
        terms=dict(rpn_cls=1., rpn_bbox=1., cls=1., bbox=1., mask=1.),
        # What was asked for, each digit named once, and nothing else.
        score_mode='exact',
        relabel_iou=0.5),
    # A reject misses digits that it was asked for: its labels are what the proxy sees.
    refiners=[dict(type='ProxyRefiner', threshold=0.85, reject_labels='proxy')])
train_cfg = dict(budget=dict(type='Ratio', percent=5), writer=dict(type='COCOWriter'))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/ins_digits.py')
