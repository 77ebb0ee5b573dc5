# Student on stored soft labels with what RD3 (https://arxiv.org/abs/2509.19743) finds to help in
# most settings: cross-entropy with the teacher's labels and with hard ones together. Composed
# with a model and a dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/rd3_soft.py']
# Read of RD3 were its abstract and summaries, not its tables and its code: the weight of the
# hard labels, the temperature, batch, epochs and optimizer below are those of EDC and FKD.
_base_ = ['./fkd_soft.py']

train_dataloader = dict(batch_size=100)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=600)]

protocol = dict(
    schedule=dict(
        batch_size=100,
        crop_area=(0.5, 1.),
        # a smoothed learning rate, as in RDED and EDC
        lr_stretch=2.,
        loss='ce',
        hard_weight=0.025,
        # RD3 finds labels of several teachers to help with few images per class and to harm
        # with many: teacher=[dict(...), dict(...)]
        teacher=dict()))
