# Table 1, ImageNet-1K: four patches in an image, which takes more
# photographs than the 300 of the other configs: all of a class are scored.
_base_ = './resnet18_imagenet_ipc100.py'
model = dict(composition='C', num_images=None)
