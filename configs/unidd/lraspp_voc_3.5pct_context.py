# Table 5, third row: guidance of the proxy and contextual prompts, no refinement.
_base_ = './lraspp_voc_3.5pct.py'
model = dict(refiners=[])
