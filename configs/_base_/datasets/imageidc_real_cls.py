# ImageIDC as a distiller reads it.
_base_ = './imagenet_real_cls.py'
metainfo = dict(classes=(
    'green mamba', 'garden spider', 'Saluki', 'Doberman', 'langur', 'bonnet',
    'cocktail shaker', 'vacuum', 'window screen', 'gyromitra'))
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imageidc/', metainfo=metainfo))
