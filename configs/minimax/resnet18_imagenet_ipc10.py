# Table 4, ImageNet-1K: one fine-tuned DiT for every 20 classes, as the released code needs it; the
# paper does not say. The student learns from a teacher online, as in RDED.
_base_ = ['../_base_/datasets/imagenet_real_cls.py', '../_base_/minimax_cls.py']

model = dict(
    fine_tune=dict(
        cfg='configs/_base_/fine_tunes/minimax_dit-xl2_imagenet.py',
        checkpoint='work_dirs/fine_tuned/minimax_dit-xl2_imagenet.pth',
        classes_per_shard=20))
train_cfg = dict(budget=dict(type='IPC', n=10))
evaluation = dict(protocol=[
    'configs/_base_/models/resnet18.py',
    'configs/_base_/datasets/imagenet_cls.py',
    'configs/_base_/protocols/rded_soft.py',
    'configs/_base_/teachers/resnet18_imagenet.py',
])
