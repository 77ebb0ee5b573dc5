# The best of eight candidates by the proxy, with a judge beside it, see docs/refinement.md.
_base_ = './faster-rcnn_digits_5pct.py'

model = dict(
    judge=dict(
        type='DetectorProxy',
        cfg='configs/_base_/proxies/fcos_digits_judge.py',
        checkpoint='work_dirs/digits/fcos_judge.pth',
        terms=dict(cls=1., bbox=1., centerness=1.),
        score_mode='matched'),
    diffusion=dict(steps=12),  # of which a draft takes eight
    pool=dict(type='CandidatePool', size=8, keep=2, screen='unguided', screen_steps=8),
    refiners=[dict(type='ProxyRefiner', threshold=0.85, reject_labels='merged')])
train_cfg = dict(max_rounds=1)
