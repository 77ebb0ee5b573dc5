# Figure 4b, ImageNette: the denoising steps; the paper takes 250. A benchmark runs every value.
_base_ = './convnet5_imagenette_ipc10.py'
sweep = dict(key='model.diffusion.steps', values=[25, 50, 100, 250, 500])
