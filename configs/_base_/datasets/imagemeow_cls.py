# ImageMeow: ten classes of ImageNet in class folders, data/imagemeow/{train,val}/<wnid>. Labels
# are the positions in the sorted wnids.
_base_ = './imagenet_cls.py'
data_root = 'data/imagemeow/'
metainfo = dict(classes=(
    'tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat', 'lynx', 'snow leopard',
    'jaguar', 'lion', 'tiger'))
model = dict(head=dict(num_classes=10), data_preprocessor=dict(num_classes=10))

dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(topk=(1, ))
test_evaluator = dict(topk=(1, ))
