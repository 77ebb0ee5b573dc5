# LoRA weights on the denoiser of a text-to-image prior. A config adds the prior, the training
# set and its pipeline; mmdet's and mmseg's sets need their own data preprocessor. Needs peft.
_base_ = '../default_runtime.py'

model = dict(
    type='LoRATrainer',
    rank=8,
    prompter=dict(type='ClassPrompter'),
    prompt_dropout=0.1,
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.],
        to_rgb=True))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-2),
    clip_grad=dict(max_norm=1.))
custom_hooks = [dict(type='LoRAHook')]

max_iters = 1000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
log_processor = dict(by_epoch=False)
