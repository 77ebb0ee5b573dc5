# Patch selection, settings of sections 3 and 4; what the paper leaves open is the default of
# the model. A leaf adds the real set, the budget and the students. All share their scores: one
# more budget, variant or combination of classes runs no denoiser.
_base_ = ['./diffusions/sd15.py', './distill_runtime.py']

model = dict(
    type='PatchSelection',
    resize=256,
    window=224,
    timestep_range=(0.1, 0.7),
    num_images=300,
    num_clusters=32,
    top_clusters=10,
    composition='auto',
    image_size=224,
    score_dir='work_dirs/patch_selection/scores')
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=64, max_rounds=1)
