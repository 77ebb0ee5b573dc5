# A small Faster R-CNN for CPU cores and images of some 256 pixels: ResNet-18 without pretrained
# weights and a thin FPN. For better features take those of ImageNet:
# model.backbone.init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'). The number
# of classes is the dataset's: model.roi_head.bbox_head.num_classes.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py']

model = dict(
    _scope_='mmdet',
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=64),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # anchors of 16 to 256 pixels
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)))
