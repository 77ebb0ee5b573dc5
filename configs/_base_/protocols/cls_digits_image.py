# The student of cls_digits.py on one soft label for each image, written once by the embedded
# classifier. Nothing else differs: the same images, augmentations and updates.
_base_ = ['./cls_digits_soft.py']

protocol = dict(schedule=dict(type='mmdd.ImageLabels'))
