# 10 images a digit, recovered from the embedded classifier; no network and no GPU needed.
_base_ = [
    'mmdd::_base_/datasets/digits_real_cls.py',
    'mmdd::_base_/distill_runtime.py',
]
custom_imports = dict(imports=['sre2l'])

model = dict(
    type='SRe2L',
    # for a CPU core; 4000 iterations at 224 pixels in the paper
    iterations=300,
    image_size=32,
    # a mirrored digit is no digit, and one of 32 pixels fits in few crops
    crop_area=(0.5, 1.),
    flip_prob=0.,
    jitter=4,
    recover_batch=100,
    proxy=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'))
train_cfg = dict(
    type='DistillLoop',
    budget=dict(type='IPC', n=10),
    writer=dict(type='ClassFolderWriter'),
    batch_size=100,
    max_rounds=1)
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(
    protocol='configs/_base_/protocols/cls_digits_soft.py',
    students={'Hard labels': 'configs/_base_/protocols/cls_digits.py'})
