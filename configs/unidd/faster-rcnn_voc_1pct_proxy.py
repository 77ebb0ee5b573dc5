# Table 5, second row: the prior with the guidance of the proxy.
_base_ = './faster-rcnn_voc_1pct.py'
model = dict(prompter=dict(_delete_=True, type='ClassPrompter'), refiners=[])
