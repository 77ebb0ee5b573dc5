# Student on stored soft labels as in EDC (https://arxiv.org/abs/2404.13733): the mean of several
# teachers, squared error of logits plus hard labels, the average of weights is tested. Composed
# with a model and a dataset:
#   protocol=['configs/_base_/models/resnet18.py', 'configs/_base_/datasets/imagenet_cls.py',
#             'configs/_base_/protocols/edc_soft.py']
# From the released scripts (shaoshitong/EDC, branches of ImageNet-1K and ImageNet-10). Not taken
# over: patches are shuffled before the crop there, and the ImageNet-10 branch ends with a
# straight line from 5/6 of the epochs on.
_base_ = ['./fkd_soft.py']

# Decay 0.99. Validation, test and checkpoints take the average.
custom_hooks = [dict(type='EMAHook', momentum=0.01)]

train_dataloader = dict(batch_size=100)
# Half of the learning rate is left at the end: the cosine is twice as long as the training.
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=600)]

protocol = dict(
    schedule=dict(
        # 100 with 10 images per class of ImageNet-1K, 50 with those of ImageNet-10
        batch_size=100,
        crop_area=(0.5, 1.),
        lr_stretch=2.,
        loss='mse',
        hard_weight=0.025,
        # EDC takes the mean of ResNet-18, MobileNetV2, EfficientNet-B0, ShuffleNetV2 x0.5 and
        # AlexNet: teacher=[dict(cfg=[model, dataset, schedule], checkpoint=...), ...]. As it
        # stands there is one, the student's own network.
        teacher=dict(),
        combine='mean'))
