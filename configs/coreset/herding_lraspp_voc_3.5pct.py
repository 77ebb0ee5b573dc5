_base_ = './kcenter_lraspp_voc_3.5pct.py'
model = dict(type='HerdingCoreset')
