# The training masks of Pascal VOC 2012 as a distiller reads them, without images.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='PascalVOCDataset',
        _scope_='mmseg',
        data_root='data/VOCdevkit/VOC2012/',
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=[
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path')),
        ]))
