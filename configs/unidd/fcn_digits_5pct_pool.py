# The best of eight candidates by the proxy, with a judge beside it, see docs/refinement.md.
_base_ = './fcn_digits_5pct.py'

model = dict(
    proxy=dict(score_mode='matched'),
    judge=dict(
        type='SegmentorProxy',
        cfg='configs/_base_/proxies/fpn_digits_judge.py',
        checkpoint='work_dirs/digits/fpn_judge.pth',
        score_mode='matched'),
    diffusion=dict(steps=12),  # of which a draft takes eight
    pool=dict(type='CandidatePool', size=8, keep=2, screen='unguided', screen_steps=8),
    refiners=[dict(type='ProxyRefiner', threshold=0.75, reject_labels='merged')])
train_cfg = dict(max_rounds=1)
