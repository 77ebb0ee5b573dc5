# UniDD on masks of digit scenes: 50 of 1,000 scenes, for two CPU cores.
_base_ = ['../_base_/datasets/digits_real_seg.py', '../_base_/unidd_digits_scenes.py']

model = dict(
    proxy=dict(
        type='SegmentorProxy',
        cfg='configs/_base_/proxies/fcn_digits.py',
        checkpoint='work_dirs/digits/fcn_proxy.pth',
        # Whether the digits of the layout, and no others, are seen anywhere in the image: the
        # mean over all pixels is that of the background.
        score_mode='found'),
    # At 0.6, 93 % of real validation scenes pass. A reject misses digits that it was asked for:
    # its mask is what the proxy sees.
    refiners=[dict(type='ProxyRefiner', threshold=0.6, reject_labels='proxy')])
train_cfg = dict(budget=dict(type='Ratio', percent=5), writer=dict(type='SegMapWriter'))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/seg_digits.py')
