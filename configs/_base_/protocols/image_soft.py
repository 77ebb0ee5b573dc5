# Student on one stored soft label for each image, which does not know how the image is
# augmented: the regime between hard labels and those of every view. Composed with a model and a
# dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/image_soft.py']
# Augmentation, optimizer and length are those of fkd_soft.py, for a comparison.
_base_ = ['./fkd_soft.py']

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.08, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

protocol = dict(
    schedule=dict(
        _delete_=True,
        type='ImageLabels',
        image_size=224,
        temperature=20.,
        # labels are mixed by area, like the images
        mix=dict(type='CutMix', alpha=1.),
        # as in fkd_soft.py
        topk=None,
        labels=None,
        teacher=dict()))
