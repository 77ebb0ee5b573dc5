_base_ = './random_lraspp_voc_3.5pct.py'
model = dict(type='DensestCoreset')
