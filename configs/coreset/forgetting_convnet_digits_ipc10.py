# A training of its own keeps a checkpoint of each of its ten epochs.
_base_ = './kcenter_convnet_digits_ipc10.py'
prepare = [
    dict(type='DigitScenes', root='data/digit_scenes/'),
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_epochs.pth',
        cfg_options={
            'default_hooks.checkpoint.interval': 60,
            'default_hooks.checkpoint.max_keep_ckpts': -1,
            'default_hooks.checkpoint.save_optimizer': False
        }),
]
model = dict(
    type='ForgettingCoreset', snapshots='work_dirs/digits/convnet_epochs_train/iter_*.pth')
