# The training masks of CamVid as a distiller reads them, without images.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='BaseSegDataset',
        _scope_='mmseg',
        data_root='data/camvid/',
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        metainfo=dict(
            classes=('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence',
                     'car', 'pedestrian', 'bicyclist'),
            palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128],
                     [60, 40, 222], [128, 128, 0], [192, 128, 128], [64, 64, 128],
                     [64, 0, 128], [64, 64, 0], [0, 128, 192]]),
        pipeline=[
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path')),
        ]))
