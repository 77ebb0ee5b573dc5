# Table 5, ImageNet-1K: clusters of CLIP features.
_base_ = './resnet18_imagenet_ipc50.py'
model = dict(
    cluster_features=dict(type='CLIPFeatures', pretrained='openai/clip-vit-base-patch32'))
