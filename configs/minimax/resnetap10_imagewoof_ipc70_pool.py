# Table 1, ImageWoof: 100 images of a class are made and 70 of them drawn at random, as by the
# released code.
_base_ = './resnetap10_imagewoof_ipc70.py'

model = dict(set_stages=[dict(type='SubsetOfPool', pool='10/7')])
