# Pascal VOC 2007 and 2012 trainval as a distiller reads them: labels only.
data_root = 'data/VOCdevkit/'
pipeline = [
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='ConcatDataset',
        _scope_='mmdet',
        # the two years differ in this key alone
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type='VOCDataset',
                _scope_='mmdet',
                data_root=data_root,
                ann_file='VOC2007/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root='VOC2007/'),
                pipeline=pipeline),
            dict(
                type='VOCDataset',
                _scope_='mmdet',
                data_root=data_root,
                ann_file='VOC2012/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root='VOC2012/'),
                pipeline=pipeline),
        ]))
