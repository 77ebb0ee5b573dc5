# ImageIDC: the first ten classes of ImageNet-100 in the order of the IDC paper, in class folders,
# data/imageidc/{train,val}/<wnid>. Labels are the positions in the sorted wnids.
_base_ = './imagenet_cls.py'
data_root = 'data/imageidc/'
metainfo = dict(classes=(
    'green mamba', 'garden spider', 'Saluki', 'Doberman', 'langur', 'bonnet',
    'cocktail shaker', 'vacuum', 'window screen', 'gyromitra'))
model = dict(head=dict(num_classes=10), data_preprocessor=dict(num_classes=10))

dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(topk=(1, ))
test_evaluator = dict(topk=(1, ))
