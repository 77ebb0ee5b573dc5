# ResNetAP-10 of IDC, for images of some 224 pixels: strides are average poolings, instance
# normalisation. Smaller images: stem='mid' (up to 128 pixels) or 'small' (up to 64).
model = dict(
    type='ImageClassifier',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmdd.ResNetAP',
        depth=10,
        stem='large',
        norm_cfg=dict(type='IN', affine=True)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        # PyTorch's own initialisation, as in the papers
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, )))
