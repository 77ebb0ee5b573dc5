# Table 2, Tiny ImageNet, D4M-G: the images are made of ImageNet-1K, of its 200 classes that Tiny
# ImageNet has; students are measured on Tiny ImageNet. The folder is written by
# tools/dataset_converters/imagenet_subset.py data/imagenet tiny_imagenet data/imagenet_tiny
_base_ = ['./resnet18_tiny-imagenet_ipc50.py']

train_dataloader = dict(dataset=dict(data_root='data/imagenet_tiny/'))
