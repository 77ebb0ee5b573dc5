# CIFAR-10 in class folders, data/cifar10/{train,test}/<class>, as written by
# tools/dataset_converters/cifar.py. What is measured, in the val slot as in the test slot, is
# the test set; there is none to select on.
dataset_type = 'CustomDataset'
data_root = 'data/cifar10/'
metainfo = dict(classes=(
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'))
# The colours of the set, as in DC, DSA, MTT and the challenge.
model = dict(
    head=dict(num_classes=10),
    data_preprocessor=dict(
        num_classes=10, mean=[125.307, 122.961, 113.8575],
        std=[51.5865, 50.847, 51.255]))

# A no-op for the real images; distilled ones may be larger.
resize = dict(type='Resize', scale=(32, 32))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        _scope_='mmpretrain',
        data_root=data_root,
        data_prefix='train',
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=256,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        _scope_='mmpretrain',
        data_root=data_root,
        data_prefix='test',
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpretrain.Accuracy', topk=(1, ))
test_evaluator = val_evaluator
