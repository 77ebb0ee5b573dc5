# Table 5, ImageWoof: clusters of CLIP features.
_base_ = './resnet18_imagewoof_ipc50.py'
model = dict(
    cluster_features=dict(type='CLIPFeatures', pretrained='openai/clip-vit-base-patch32'))
