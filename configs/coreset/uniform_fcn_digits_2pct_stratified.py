# The real images of the layouts of UniDD on digit scenes.
_base_ = './uniform_fcn_digits_2pct.py'
model = dict(stratified=True)
