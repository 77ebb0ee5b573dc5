# A classifier of CIFAR's images of 32 pixels as the proxy, from scratch: 30 epochs of SGD with a
# one-cycle rate. No paper states one; with a ResNet-18 for CIFAR this is a common recipe.
_base_ = ['../default_runtime.py']
default_scope = 'mmpretrain'

max_epochs = 30
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.1,
        total_steps=max_epochs,
        pct_start=0.2,
        by_epoch=True,
        convert_to_iter_based=True)
]
