# ImageFruit as a distiller reads it.
_base_ = './imagenet_real_cls.py'
metainfo = dict(classes=(
    'cucumber', 'bell pepper', 'Granny Smith', 'strawberry', 'orange', 'lemon', 'fig',
    'pineapple', 'banana', 'pomegranate'))
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imagefruit/', metainfo=metainfo))
