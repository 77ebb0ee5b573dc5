# Layouts of real scenes as the paper's; each image starts from its real one, not from noise alone.
_base_ = './fcn_digits_5pct.py'

model = dict(initializer=dict(type='CollageInitializer', strength=0.6))
