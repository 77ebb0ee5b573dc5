_base_ = './kcenter_convnet_digits_ipc10.py'
model = dict(type='FacilityLocationCoreset')
