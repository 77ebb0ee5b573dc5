_base_ = './random_lraspp_voc_7pct.py'
model = dict(type='DensestCoreset')
