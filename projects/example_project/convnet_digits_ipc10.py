# 10 real images a digit; everything but the rule comes from the herding baseline.
_base_ = 'mmdd::coreset/herding_convnet_digits_ipc10.py'
custom_imports = dict(imports=['nearest_to_mean'])

model = dict(type='NearestToMean')
