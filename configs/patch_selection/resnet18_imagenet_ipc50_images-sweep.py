# Figure 6, ImageNet-1K: photographs of a class that are scored; the tables take 300, a class has
# at most 1,300. A benchmark runs every value.
_base_ = './resnet18_imagenet_ipc50.py'
sweep = dict(key='model.num_images', values=[100, 200, 300, 500, 1300])
