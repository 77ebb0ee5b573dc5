# Layouts of the real scenes with most digits, as they are: those of the Densest coreset.
_base_ = './faster-rcnn_digits_5pct.py'

model = dict(label_sampler=dict(_delete_=True, type='DensestLabelSampler'))
