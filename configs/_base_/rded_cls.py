# RDED, settings of the released code. A leaf adds the real set, the observer that scores crops,
# the budget and the students. Jobs of one observer share their scores: one more budget runs no
# network.
_base_ = './distill_runtime.py'

model = dict(
    type='RDED',
    crops=5,
    images_per_class=300,
    # the ranges of torchvision's RandomResizedCrop(ratio=(1, 1))
    crop_scale=(0.08, 1.0),
    crop_ratio=(1.0, 1.0),
    # 2 x 2 crops in an image, one up to 64 pixels
    factor=None,
    image_size=224,
    # crops are framed, not resized, to what the observer sees
    proxy=dict(type='ClassifierProxy', input_scale=None),
    score_dir='work_dirs/rded/scores')
train_cfg = dict(
    type='DistillLoop', writer=dict(type='ClassFolderWriter'), batch_size=64, max_rounds=1)
