# ImageWoof: ten classes of ImageNet in class folders, data/imagewoof/{train,val}/<wnid>. Labels
# are the positions in the sorted wnids.
_base_ = './imagenet_cls.py'
data_root = 'data/imagewoof/'
metainfo = dict(classes=(
    'Shih-Tzu', 'Rhodesian ridgeback', 'beagle', 'English foxhound', 'Border terrier',
    'Australian terrier', 'golden retriever', 'Old English sheepdog', 'Samoyed', 'dingo'))
model = dict(head=dict(num_classes=10), data_preprocessor=dict(num_classes=10))

dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(topk=(1, ))
test_evaluator = dict(topk=(1, ))
