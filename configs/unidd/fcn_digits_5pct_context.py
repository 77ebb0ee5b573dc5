# Table 5, third row: guidance of the proxy and contextual prompts, no refinement.
_base_ = './fcn_digits_5pct.py'
model = dict(refiners=[])
