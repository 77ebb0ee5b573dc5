# Figure 8, ImageWoof: the number of clusters, of which the 10 best give patches; the tables take
# 32. A benchmark runs every value.
_base_ = './resnet18_imagewoof_ipc50.py'
sweep = dict(key='model.num_clusters', values=[10, 16, 32, 64, 128])
