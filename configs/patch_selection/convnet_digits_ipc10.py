# Patch selection on single digits: 100 images for a classifier, for two CPU cores.
_base_ = [
    '../_base_/datasets/digits_real_cls.py', '../_base_/diffusions/digits_sd.py',
    '../_base_/distill_runtime.py'
]

model = dict(
    type='PatchSelection',
    image_size=64,
    resize=64,
    # Whole images: 57.0 % on the validation split (one student); 39.7 % with a window of 48
    # pixels, which cuts digits off.
    window=None,
    composition='S',
    num_images=40,
    num_draws=4,
    num_clusters=16,
    # the prompts that the prior was trained on
    prompt='a photo of a {}',
    null_prompt='',
    score_dir='work_dirs/digits/patch_scores')
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=64,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
