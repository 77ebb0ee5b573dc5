# Layouts of real scenes as the paper's; each image starts from its real one at once.
_base_ = './fcn_digits_5pct.py'

model = dict(initializer=dict(noise_rounds=0))
