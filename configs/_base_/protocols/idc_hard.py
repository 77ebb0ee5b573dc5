# Student with hard labels as IDC and Minimax train it: CutMix on every batch, more epochs for
# fewer images. Composed with a model and a dataset:
#   protocol=['configs/_base_/models/resnet18_in.py', 'configs/_base_/datasets/imagewoof_cls.py',
#             'configs/_base_/protocols/idc_hard.py']
# The networks of the papers have instance norm: resnet18_in, resnetap10, convnet6.
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'

# CutMix mixes hard labels by area; the box is drawn anew for every batch.
model = dict(train_cfg=dict(augments=[dict(type='CutMix', alpha=1.)]))

# Everything is cut to one size first, as the generated images are.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=224, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.5, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, backend='cv2'),
    dict(type='mmdd.PCALighting', std=0.1),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=224, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
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

# Of at most 100 classes; the rule below changes lr, weight decay and batch for more.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
# 2/3 and 5/6 of the epochs. The rule sets epochs, milestones and intervals by IPC.
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, milestones=[1333, 1666], gamma=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=2000, val_interval=20)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    checkpoint=dict(
        interval=200, save_optimizer=False, save_best='accuracy/top1', rule='greater'))

protocol = dict(
    task='classification',
    # mmpretrain's accuracy is in percent already
    metrics=dict(top1='accuracy/top1'),
    scale=1.,
    # Where the best epoch is chosen. The papers choose it on the test set, which flatters:
    # select='test' does as they do.
    select='val',
    schedule=dict(
        type='IDCSchedule',
        # side of the images; 256 in UniDD
        image_size=224,
        # images per class -> epochs, and number of classes -> factor
        epochs=dict(
            table={'1': 3000, '10': 2000, '50': 1500, '200': 1000, '500': 500},
            above=300,
            factors={'100': 2 / 3},
            # whole hundreds where there is a factor
            multiple=100)))
