# Table 5, second row: the prior with the guidance of the proxy.
_base_ = './convnet_digits_ipc10.py'
model = dict(prompter=dict(_delete_=True, type='ClassPrompter', plural=''), refiners=[])
