# The student of cls_small.py on the labels of a teacher, which labels every augmented batch.
# Nothing else differs: the same images, augmentations and updates.
_base_ = ['./cls_small.py']

protocol = dict(
    schedule=dict(
        type='mmdd.OnlineTeacher',
        image_size=32,
        written_for=32,
        # KL divergence at this temperature
        temperature=4.,
        teacher=dict()))
