_base_ = './random_lraspp_voc_14pct.py'
model = dict(type='DensestCoreset')
