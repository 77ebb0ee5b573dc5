# The real images of the layouts of UniDD on digit scenes.
_base_ = './uniform_faster-rcnn_digits_2pct.py'
model = dict(stratified=True)
