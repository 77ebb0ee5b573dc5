# Table 5, second row: the prior with the guidance of the proxy.
_base_ = './fcn_digits_5pct.py'
model = dict(prompter=dict(_delete_=True, type='ClassPrompter', plural=''), refiners=[])
