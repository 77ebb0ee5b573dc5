# The real set as a distiller reads it: labels only, images are opened by path.
prepare = [dict(type='DigitScenes', root='data/digit_scenes/')]
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
