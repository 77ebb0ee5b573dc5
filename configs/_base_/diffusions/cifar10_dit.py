# A small class-conditional prior of CIFAR-10. It comes without weights: train it first, with the
# command of docs/priors.md. The scale is that of DiT-XL/2, not tuned for it.
model = dict(
    diffusion=dict(
        type='DiT', pretrained='work_dirs/priors/cifar10_dit', steps=50, cfg_scale=4.0))
