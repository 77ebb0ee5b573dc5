# All rounds start from noise, as the paper's do; what fails in each of them stays a reject.
_base_ = './faster-rcnn_digits_5pct.py'

model = dict(initializer=None)
