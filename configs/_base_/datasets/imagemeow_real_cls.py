# ImageMeow as a distiller reads it.
_base_ = './imagenet_real_cls.py'
metainfo = dict(classes=(
    'tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat', 'lynx', 'snow leopard',
    'jaguar', 'lion', 'tiger'))
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imagemeow/', metainfo=metainfo))
