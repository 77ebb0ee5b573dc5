# Table 4 on single digits: images start from noise.
_base_ = ['./convnet_digits_ipc10.py']

model = dict(statistics=None)
