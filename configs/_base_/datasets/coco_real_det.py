# COCO train2017 as a distiller reads it: labels only, images without objects left out as
# in the stock training.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='CocoDataset',
        _scope_='mmdet',
        data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
        ]))
