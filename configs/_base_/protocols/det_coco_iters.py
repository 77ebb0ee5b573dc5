# Student on COCO, iteration-matched: every set gets as many updates as the full set
# gets in 12 passes (117,266 images with objects, batch 16).
_base_ = ['./det_coco.py']

max_iters = 87960
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10 * max_iters)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', by_epoch=False, end=max_iters, milestones=[58640, 80630], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
