# ConvNet-3 of the DC papers, for images of 32 pixels: width 128, instance normalisation.
# Its classifier sees the whole last map: images of another size H need
# model.head.in_channels = 128 * (H // 2**D)**2, here with D = 3.
model = dict(
    type='ImageClassifier',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='mmdd.ConvNet',
        widths=(128, ) * 3,
        norm_cfg=dict(type='IN', affine=True),
        conv_bias=True,
        final_pool=True,
        flatten=True),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=128 * 4 * 4,
        # PyTorch's own initialisation, as in the papers
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, )))
