# The full method on layouts that are composed of the objects of several photographs.
_base_ = './faster-rcnn_voc_1pct.py'

model = dict(
    label_sampler=dict(
        _delete_=True,
        type='ComposedLabelSampler',
        objects=4,
        # People ride horses, boats hold no sofas.
        cooccurrence=True))
