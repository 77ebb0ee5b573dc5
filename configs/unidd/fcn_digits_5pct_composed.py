# The full method on layouts of four objects, composed of several real scenes.
_base_ = './fcn_digits_5pct.py'

model = dict(
    # The digits of a scene are independent. Boxes that overlap are drawn as one shape.
    label_sampler=dict(
        _delete_=True, type='ComposedLabelSampler', objects=4, overlap=0., cooccurrence=False),
    # Two digits of a class are two objects of the prompt.
    prompter=dict(regions='connected'))
