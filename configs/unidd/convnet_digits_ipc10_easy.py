# The real images that the proxy is surest of say what is asked for: the layouts of that coreset.
_base_ = './convnet_digits_ipc10.py'

model = dict(
    label_sampler=dict(
        _delete_=True,
        type='CoresetLabelSampler',
        coreset=dict(
            type='UncertaintyCoreset', measure='least_confidence', keep='easy',
            feature_size=64)))
