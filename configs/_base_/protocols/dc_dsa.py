# Student with hard labels as in DC, DSA, DM and MTT: ConvNet with instance norm, long training
# with siamese augmentation. Composed with a model and a dataset:
#   protocol=['configs/_base_/models/convnet5.py', 'configs/_base_/datasets/imagenette_cls.py',
#             'configs/_base_/protocols/dc_dsa.py']
# 128 pixels are for convnet5, "5-layer ConvNet" in UniDD; convnet4 takes
# protocol.schedule.image_size=64 and convnet3 32. The papers take five seeds: 0 1 2 3 4.
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'

# One of the six operations for each batch, with parameters of each image's own.
model = dict(
    train_cfg=dict(augments=[
        dict(
            type='mmdd.models.DSA',
            flip=0.5,
            scale=1.2,
            rotate=15.,
            crop=0.125,
            cutout=0.5,
            brightness=1.,
            saturation=2.,
            contrast=0.5)
    ]))

# The same for training and test: what is random happens on whole batches.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=128, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=256,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=256,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=train_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[502], gamma=0.1)]
train_cfg = dict(by_epoch=True, max_epochs=1001, val_interval=1001)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=100, save_optimizer=False))

protocol = dict(
    task='classification',
    # mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    schedule=dict(type='DSASchedule', image_size=128, written_for=128, epochs=1000))
