# COCO train2017 with masks as a distiller reads it: labels only, images without objects left out
# as in the stock training.
_base_ = ['./coco_real_det.py']

train_dataloader = dict(
    dataset=dict(
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
