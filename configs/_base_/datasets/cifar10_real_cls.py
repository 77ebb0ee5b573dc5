# CIFAR-10 as a distiller reads it: labels only, images are opened by path.
metainfo = dict(classes=(
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'))
train_dataloader = dict(
    batch_size=256,
    num_workers=0,
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='data/cifar10/',
        data_prefix='train',
        metainfo=metainfo,
        pipeline=[dict(type='PackInputs', meta_keys=('img_path', ))]))
