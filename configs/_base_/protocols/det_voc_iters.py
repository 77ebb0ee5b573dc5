# Student on VOC, iteration-matched: every set gets as many updates as the full set
# gets in 12 passes (16,551 images, batch 16).
_base_ = ['./det_voc.py']

max_iters = 12416
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10 * max_iters)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, end=max_iters, milestones=[9312], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
