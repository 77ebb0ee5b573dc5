# UniDD on the embedded digit scenes: 50 of 1,000 scenes, for two CPU cores.
_base_ = ['../_base_/datasets/digits_real_det.py', '../_base_/unidd_digits_scenes.py']

model = dict(
    proxy=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/faster-rcnn_digits.py',
        checkpoint='work_dirs/digits/faster-rcnn_proxy.pth',
        # What was asked for, each digit named once, and nothing else.
        score_mode='exact',
        relabel_iou=0.5),
    # A reject misses digits that it was asked for: its labels are what the proxy sees.
    refiners=[dict(type='ProxyRefiner', threshold=0.85, reject_labels='proxy')])
train_cfg = dict(budget=dict(type='Ratio', percent=5), writer=dict(type='VOCWriter'))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/det_digits.py')
