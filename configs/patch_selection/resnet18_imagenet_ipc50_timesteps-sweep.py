# Table 7, ImageNet-1K: the part of the schedule that the differential loss draws its timesteps
# from. A benchmark runs every value.
_base_ = './resnet18_imagenet_ipc50.py'
sweep = dict(
    key='model.timestep_range',
    values=[
        [0.1, 0.3], [0.1, 0.5], [0.1, 0.7], [0.1, 0.9],
        [0.3, 0.5], [0.3, 0.7], [0.3, 0.9],
        [0.5, 0.5], [0.5, 0.7], [0.5, 0.9],
        [0.7, 0.9],
    ])
