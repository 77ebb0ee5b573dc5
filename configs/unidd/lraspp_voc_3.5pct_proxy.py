# Table 5, second row: the prior with the guidance of the proxy.
_base_ = './lraspp_voc_3.5pct.py'
model = dict(prompter=dict(_delete_=True, type='ClassPrompter'), refiners=[])
