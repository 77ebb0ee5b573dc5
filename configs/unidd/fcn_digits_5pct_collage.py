# Composed layouts whose images start from a collage of the real objects at once.
_base_ = './fcn_digits_5pct_composed.py'

model = dict(
    # Of the objects of a class the half that the proxy is surest of: fewer rejects.
    label_sampler=dict(surest=0.5),
    initializer=dict(noise_rounds=0))
