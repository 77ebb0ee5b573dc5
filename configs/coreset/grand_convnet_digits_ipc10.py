_base_ = './el2n_convnet_digits_ipc10.py'
model = dict(type='GraNdCoreset')
