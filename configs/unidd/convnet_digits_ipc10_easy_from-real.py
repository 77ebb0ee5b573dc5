# The real images that the proxy is surest of; each image starts from its real one.
_base_ = './convnet_digits_ipc10_easy.py'

model = dict(initializer=dict(type='CollageInitializer', strength=0.6))
