# ResNet-18 from scratch with instance normalisation, as in the hard-label protocol of IDC.
_base_ = ['./resnet18.py']

model = dict(backbone=dict(norm_cfg=dict(type='IN', affine=True)))
