# ImageNette as a distiller reads it.
_base_ = './imagenet_real_cls.py'
metainfo = dict(classes=(
    'tench', 'English springer', 'cassette player', 'chain saw', 'church', 'French horn',
    'garbage truck', 'gas pump', 'golf ball', 'parachute'))
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imagenette/', metainfo=metainfo))
