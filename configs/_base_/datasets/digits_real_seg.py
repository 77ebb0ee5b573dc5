# The real set as a distiller reads it: masks only, images are opened by path.
prepare = [
    dict(type='DigitScenes', root='data/digit_scenes/'),
    # what looks at the images when sets are compared with the real one
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
]
set_metrics = dict(
    type='FeatureMetricsHook',
    size=64,
    num_real=1000,
    cache='work_dirs/features',
    extractor=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth',
        input_scale=None))
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='BaseSegDataset',
        _scope_='mmseg',
        data_root='data/digit_scenes/VOC2007/',
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        metainfo=dict(
            classes=('background', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'),
            palette=[[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128],
                     [128, 0, 128], [0, 128, 128], [128, 128, 128], [64, 0, 0], [192, 0, 0],
                     [64, 128, 0]]),
        pipeline=[
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path')),
        ]))
