# D4M, settings of the released code where the paper gives none: the scheduler that comes with
# SD v1.5 (PNDM), 50 steps, guidance 8, strength 0.7; the prompt is the label text. A leaf adds
# the real set, the budget and the students.
_base_ = ['./diffusions/sd15.py', './distill_runtime.py']

model = dict(
    type='D4M',
    image_size=512,
    saved_size=224,
    strength=0.7,
    diffusion=dict(steps=50, cfg_scale=8.0, scheduler=dict(type='PNDMScheduler')),
    # posterior='sample' and reassignment_ratio=0.01 as in the released code
    statistics=dict(type='LatentClusters', expand=1),
    prompter=dict(type='ClassPrompter', template='{names}'))
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=8, max_rounds=1)
