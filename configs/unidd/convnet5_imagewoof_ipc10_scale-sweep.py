# Figure 4a, ImageWoof: the guidance strength; the paper takes 100. A benchmark runs every value.
_base_ = './convnet5_imagewoof_ipc10.py'
sweep = dict(key='custom_hooks.1.scale', values=[0., 20., 50., 100., 150., 200.])
