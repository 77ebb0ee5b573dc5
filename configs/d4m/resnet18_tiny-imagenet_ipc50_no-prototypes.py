# Table 4, Tiny ImageNet: images start from noise. The paper says IPC 10 here, but its row with
# prototypes is that of IPC 50 in table 2.
_base_ = ['./resnet18_tiny-imagenet_ipc50.py']

model = dict(statistics=None)
