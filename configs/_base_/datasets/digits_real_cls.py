# The real set as a distiller reads it: labels only, images are opened by path.
prepare = [
    dict(type='DigitScenes', root='data/digit_scenes/'),
    # what looks at the images when sets are compared with the real one
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
]
set_metrics = dict(
    type='FeatureMetricsHook',
    size=32,
    num_real=1000,
    cache='work_dirs/features',
    extractor=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth',
        input_scale=None))
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='data/digit_scenes/single/',
        data_prefix='train',
        metainfo=dict(classes=('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')),
        pipeline=[dict(type='PackInputs', meta_keys=('img_path', ))]))
