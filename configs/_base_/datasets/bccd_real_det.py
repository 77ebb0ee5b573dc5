# The training images of BCCD as a distiller reads them: labels only, images are opened by path.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='XMLDataset',
        _scope_='mmdet',
        data_root='data/bccd/VOCdevkit/',
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        metainfo=dict(classes=('RBC', 'WBC', 'Platelets')),
        pipeline=[
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
        ]))
