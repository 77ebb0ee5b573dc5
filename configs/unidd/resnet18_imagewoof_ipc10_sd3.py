# Not in the paper: the newer prior Stable Diffusion 3.5 medium, as configs/_base_/diffusions/
# sd3_medium.py has it, at 512 pixels. A step of guidance has a length of its own ('relative'),
# for λ is tuned to the latents of Stable Diffusion 1.5.
_base_ = './resnet18_imagewoof_ipc10.py'

model = dict(
    image_size=512,
    diffusion=dict(
        _delete_=True,
        type='StableDiffusion3',
        pretrained='stabilityai/stable-diffusion-3.5-medium',
        steps=40,
        cfg_scale=4.5,
        gradient_checkpointing=True))
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TaskGuidanceHook', scale=0.1, step='relative', stop=0.7, wrt='latent'),
]
