# ImageNet-1K as a distiller reads it: labels only, images are opened by path.
train_dataloader = dict(
    batch_size=256,
    num_workers=0,
    dataset=dict(
        type='ImageNet',
        _scope_='mmpretrain',
        data_root='data/imagenet/',
        data_prefix='train',
        pipeline=[dict(type='PackInputs', meta_keys=('img_path', ))]))
