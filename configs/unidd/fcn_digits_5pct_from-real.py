# The images start from the real ones that their labels are of, not from noise alone.
_base_ = './fcn_digits_5pct.py'

model = dict(initializer=dict(type='CollageInitializer', strength=0.6))
