# SDXL-Turbo distillation on single digits, for two CPU cores: 2 generated images per class, each
# with four copies. The embedded prior is no one-step model: of 100 images of an earlier training
# of it a classifier of real digits reads 9 as the class asked for after one step without
# guidance, 30 after four steps, and 79 after four steps with guidance 7, which are taken here.
_base_ = [
    '../_base_/datasets/digits_real_cls.py', '../_base_/diffusions/digits_sd.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='SDXLTurbo',
    image_size=64,
    diffusion=dict(
        steps=4,
        cfg_scale=7.0,
        scheduler=dict(type='DDIMScheduler', timestep_spacing='trailing')),
    # the words that the embedded prior was trained on
    prompter=dict(type='ClassPrompter', plural=''),
    set_stages=[
        dict(
            type='PostAugmentation',
            size=32,
            # a flipped digit is none, and a 6 that is turned far enough is a 9
            transforms=[
                dict(type='RandomBrightnessContrast', p=0.5),
                dict(type='Rotate', limit=20, border_mode='reflect', p=0.8),
                dict(type='RandomGamma', p=0.5),
            ])
    ])
custom_hooks = [dict(type='ContactSheetHook'), dict(type='TimeBudgetHook', minutes=10.)]
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=10,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
