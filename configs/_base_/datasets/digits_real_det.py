# The real set as a distiller reads it: labels only, images are opened by path.
data_root = 'data/digit_scenes/'
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
        type='VOCDataset',
        _scope_='mmdet',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        metainfo=dict(classes=('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')),
        pipeline=[
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
        ]))
