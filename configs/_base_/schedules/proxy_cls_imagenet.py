# ResNet-18 as the proxy and the teacher of ImageNet-1K. PyTorch's weights were trained on this
# very set, last layer included, so one careful pass is all that is added. The head finds its
# `fc` in the same file.
_base_ = './proxy_cls.py'

model = dict(
    head=dict(
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet18')))
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.001))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True)
]
