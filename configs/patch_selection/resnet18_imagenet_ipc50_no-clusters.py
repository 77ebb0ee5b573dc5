# Table 5, ImageNet-1K: the patches of highest R, without clusters.
_base_ = './resnet18_imagenet_ipc50.py'
model = dict(cluster_features=None)
