# The best of four candidates by the proxy, with a judge beside it, see docs/refinement.md. Nearly
# every guided image passes here at once; a larger pool costs more and gains nothing.
_base_ = './convnet_digits_ipc10.py'

model = dict(
    judge=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/proxies/convnet_digits_judge.py',
        checkpoint='work_dirs/digits/convnet_judge.pth'),
    pool=dict(type='CandidatePool', size=4, keep=1, screen='unguided', screen_steps=6))
train_cfg = dict(max_rounds=1)
