# Layouts of the real scenes with most digits; the images start from these scenes.
_base_ = './faster-rcnn_digits_5pct_dense.py'

model = dict(initializer=dict(noise_rounds=0))
