# Student of an online teacher as in RDED: the teacher labels every mixed batch.
# Composed with a model and a dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/rded_soft.py']
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'

# RDED normalises every dataset by the colours of ImageNet, CIFAR too, for student and teacher.
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True))

# The rule below sets the factor, and the crops to at least 1 / factor of the area.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdd.PatchShuffle', factor=2),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.5, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=50,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator

# The rule below sets lr by network. CIFAR-100 with conv3 takes lr 2e-3 and
# protocol.schedule.fixed=[(100, 25), (200, 100)] in RDED.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
# lr / 2 (1 + cos(pi e / 600)): after 300 epochs half of the learning rate is left.
# schedule.lr_stretch=1 takes it to zero.
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=600)]
train_cfg = dict(by_epoch=True, max_epochs=300, val_begin=242, val_interval=10)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    checkpoint=dict(
        interval=30, save_optimizer=False, save_best='accuracy/top1', rule='greater'))

protocol = dict(
    task='classification',
    # mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    # RDED chooses the best epoch on the test set: select='test'
    select='val',
    schedule=dict(
        type='RDEDSchedule',
        image_size=224,
        epochs=300,
        # end of the cosine in trainings: 2 as in RDED
        lr_stretch=2.,
        # (images per class, batch): the last entry that is not larger counts, so that an IPC
        # of 5 takes 10 and one of 20 takes 50; RDED itself has no batch for these
        batches=[(1, 10), (10, 50), (50, 100)],
        # (classes, factor on the batch) and (classes, batch of Tiny-ImageNet)
        factors=[(100, 2), (1000, 2)],
        fixed=[(200, 100)],
        # learning rate of backbones whose type begins so; that of the optimizer for all others
        rates=dict(
            VGG=5e-4,
            EfficientNet=2e-3,
            MobileNetV2=2.5e-3,
            AlexNet=1e-4,
            VisionTransformer=1e-4,
            SwinTransformer=1e-4),
        # patches along a side: 2, and 1 up to 64 pixels
        factor=None,
        # KL divergence at this temperature, not multiplied by its square; with
        # mix='Mixup' RDED takes 4
        mix='CutMix',
        temperature=20.,
        # batch-norm statistics move twice a step, as in RDED's code; False: once
        pollute_norm=True,
        # {}: the student's own network, trained on the real set first. Another one:
        # dict(cfg=[model, dataset, schedule], checkpoint=...)
        teacher=dict()))
