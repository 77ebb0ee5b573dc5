# Not in the paper: FLUX.1 [schnell], as configs/_base_/diffusions/flux_schnell.py has it, in four
# steps at 512 pixels. Guidance goes around the denoiser, which is twelve times as large as that
# of Stable Diffusion 1.5.
_base_ = './resnet18_imagewoof_ipc10.py'

model = dict(
    image_size=512,
    diffusion=dict(
        _delete_=True,
        type='Flux',
        pretrained='black-forest-labs/FLUX.1-schnell',
        steps=4,
        max_sequence_length=256))
custom_hooks = [
    dict(type='ContactSheetHook'),
    dict(type='TaskGuidanceHook', scale=0.1, step='relative', wrt='denoised'),
]
