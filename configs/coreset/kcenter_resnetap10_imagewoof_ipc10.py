# Minimax, table 1, ImageWoof. The paper does not say what the images are compared by: here by
# a ResNetAP-10 trained on the full set, which its table 2 measures with.
_base_ = './random_resnetap10_imagewoof_ipc10.py'
model = dict(
    type='KCenterCoreset',
    feature_size=256,
    proxy=dict(
        type='ClassifierProxy',
        cfg=[
            'configs/_base_/models/resnetap10.py',
            'configs/_base_/datasets/imagewoof_cls.py',
            'configs/_base_/schedules/teacher_cls.py',
        ],
        checkpoint='work_dirs/proxies/resnetap10_imagewoof.pth'))
