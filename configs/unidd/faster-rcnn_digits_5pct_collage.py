# Composed layouts whose images start from a collage of the real objects, not from noise alone.
_base_ = './faster-rcnn_digits_5pct_composed.py'

model = dict(initializer=dict(type='CollageInitializer', strength=0.6))
