# ImageFruit: ten classes of ImageNet in class folders, data/imagefruit/{train,val}/<wnid>. Labels
# are the positions in the sorted wnids.
_base_ = './imagenet_cls.py'
data_root = 'data/imagefruit/'
metainfo = dict(classes=(
    'cucumber', 'bell pepper', 'Granny Smith', 'strawberry', 'orange', 'lemon', 'fig',
    'pineapple', 'banana', 'pomegranate'))
model = dict(head=dict(num_classes=10), data_preprocessor=dict(num_classes=10))

dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(topk=(1, ))
test_evaluator = dict(topk=(1, ))
