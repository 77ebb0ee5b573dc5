# Table 5, second and third row: guidance of the proxy, no refinement. A class has no context.
_base_ = './convnet_digits_ipc10.py'
model = dict(refiners=[])
