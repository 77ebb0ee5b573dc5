# A training of a fixed number of updates, whatever the size of the set, for any task: AdamW with
# a one-cycle rate. A config that takes it sets its own default_scope, and another number of
# updates in all places, see docs/own_data.md.
_base_ = ['../default_runtime.py']

max_iters = 600
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=5e-4,
        total_steps=max_iters,
        pct_start=0.1,
        by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
