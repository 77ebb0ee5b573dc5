# Figure 7, ImageNet-1K: the timestep of the features that are clustered, as a part of the
# schedule. A benchmark runs every value.
_base_ = './resnet18_imagenet_ipc50.py'
sweep = dict(key='model.dift_timestep', values=[0.01, 0.08, 0.16, 0.32, 0.48, 0.64])
