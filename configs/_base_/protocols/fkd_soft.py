# Student on stored soft labels as in FKD, SRe2L and D4M. The teacher labels every augmented
# image of every epoch once; all students read the same labels. Composed with a model and a
# dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/fkd_soft.py']
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'

# Crop, flip and CutMix come with the labels.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdd.RecordedCrop', scale=224),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=1024,
    num_workers=8,
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

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01),
    # none on norms and biases, as in D4M
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=300)]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=50)
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
    # the papers choose the best epoch on the test set: select='test'
    select='val',
    schedule=dict(
        type='FKDSchedule',
        image_size=224,
        epochs=300,
        # 1024 in SRe2L and D4M, 128 in CDA. It decides a lot: few updates at 1024
        batch_size=1024,
        crop_area=(0.08, 1.),
        flip_prob=0.5,
        cutmix=1.,
        temperature=20.,
        # k keeps k classes an image, the others share the rest of the probability
        topk=None,
        # stored epochs that later ones repeat; None stores all
        pool=None,
        seed=42,
        # folder written by tools/relabel.py; None makes labels under the work dir
        labels=None,
        # {}: the student's own network, trained on the real set first. Another one:
        # dict(cfg=[model, dataset, schedule], checkpoint=...)
        teacher=dict()))
