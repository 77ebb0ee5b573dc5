# Figure 8, ImageWoof: how many of 32 clusters give patches; the tables take 10. A benchmark runs
# every value.
_base_ = './resnet18_imagewoof_ipc50.py'
sweep = dict(key='model.top_clusters', values=[2, 5, 10, 20, 32])
