_base_ = './random_convnet_digits_ipc10.py'
model = dict(
    type='KCenterCoreset',
    feature_size=64,
    proxy=dict(
        type='ClassifierProxy',
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth'))
