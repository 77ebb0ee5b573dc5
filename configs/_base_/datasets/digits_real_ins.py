# The real set with a mask for each digit, as a distiller reads it: labels only.
_base_ = ['./digits_real_det.py']

data_root = 'data/digit_instances/'
prepare = [
    dict(type='DigitInstances', root=data_root),
    # what looks at the images when sets are compared with the real one
    dict(
        type='mmdd.TrainedCheckpoint',
        config='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CocoDataset',
        _scope_='mmdet',
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')),
        pipeline=[
            # masks need the size of the image, which the file of the annotations has
            dict(
                type='mmcv.KeyMapper',
                mapping=dict(ori_shape=['height', 'width']),
                auto_remap=False,
                transforms=[
                    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)
                ]),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width')),
        ]))
