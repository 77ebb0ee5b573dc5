# The images that the classifier is surest of.
_base_ = './leastconf_convnet_digits_ipc10.py'
model = dict(keep='easy')
