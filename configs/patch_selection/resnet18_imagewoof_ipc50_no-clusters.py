# Table 5, ImageWoof: the patches of highest R, without clusters.
_base_ = './resnet18_imagewoof_ipc50.py'
model = dict(cluster_features=None)
