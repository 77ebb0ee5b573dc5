# Table 5, third row: guidance of the proxy and contextual prompts, no refinement.
_base_ = './faster-rcnn_voc_1pct.py'
model = dict(refiners=[])
