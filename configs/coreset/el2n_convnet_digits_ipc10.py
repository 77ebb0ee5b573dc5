# Three short trainings of other seeds, a fifth of the proxy's own, rank the images.
_base_ = './kcenter_convnet_digits_ipc10.py'
early = {
    'train_cfg.max_iters': 120,
    'train_cfg.val_interval': 120,
    'default_hooks.checkpoint.interval': 120
}
prepare = [
    dict(type='DigitScenes', root='data/digit_scenes/'),
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
    *[
        dict(
            type='mmdd.TrainedCheckpoint',
            config='configs/_base_/backbones/convnet_digits.py',
            checkpoint=f'work_dirs/digits/convnet_early{seed}.pth',
            cfg_options={**early, 'randomness.seed': seed}) for seed in (1, 2, 3)
    ],
]
model = dict(
    type='EL2NCoreset',
    snapshots=[f'work_dirs/digits/convnet_early{seed}.pth' for seed in (1, 2, 3)])
