# The student of cls_digits.py on the labels of the embedded classifier, which labels every
# augmented batch. Nothing else differs: the same images, augmentations and updates.
_base_ = ['./cls_digits.py']

protocol = dict(
    schedule=dict(
        type='mmdd.OnlineTeacher',
        image_size=32,
        written_for=32,
        # KL divergence at this temperature
        temperature=4.,
        teacher=dict(
            cfg='configs/_base_/backbones/convnet_digits.py',
            checkpoint='work_dirs/digits/convnet_backbone.pth')))
