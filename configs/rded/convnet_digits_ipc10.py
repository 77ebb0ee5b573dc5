# RDED on single digits: 100 images for a classifier, for two CPU cores.
_base_ = ['../_base_/datasets/digits_real_cls.py', '../_base_/rded_cls.py']

model = dict(
    image_size=64,
    proxy=dict(
        cfg='configs/_base_/backbones/convnet_digits.py',
        checkpoint='work_dirs/digits/convnet_backbone.pth',
        # the embedded classifier sees 32 pixels
        input_scale='test'),
    score_dir='work_dirs/digits/crop_scores')
train_cfg = dict(budget=dict(type='IPC', n=10))
default_hooks = dict(set_metrics={{_base_.set_metrics}})
evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
