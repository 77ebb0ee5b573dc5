# ImageWoof as a distiller reads it.
_base_ = './imagenet_real_cls.py'
metainfo = dict(classes=(
    'Shih-Tzu', 'Rhodesian ridgeback', 'beagle', 'English foxhound', 'Border terrier',
    'Australian terrier', 'golden retriever', 'Old English sheepdog', 'Samoyed', 'dingo'))
train_dataloader = dict(
    dataset=dict(type='CustomDataset', data_root='data/imagewoof/', metainfo=metainfo))
