# The best of eight candidates by the proxy, with a judge beside it, see docs/refinement.md.
_base_ = './convnet_digits_ipc10.py'

model = dict(
    judge=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/proxies/convnet_digits_judge.py',
        checkpoint='work_dirs/digits/convnet_judge.pth'),
    pool=dict(type='CandidatePool', size=8, keep=2, screen='unguided', screen_steps=8))
train_cfg = dict(max_rounds=1)
