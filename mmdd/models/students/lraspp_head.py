"""The LR-ASPP head for inputs of any size."""
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn

from mmdd.registry import MODELS


@MODELS.register_module()
def AdaptiveLRASPPHead(**kwargs) -> nn.Module:
    """mmseg's LRASPPHead with a global average pooling.

    mmseg pools windows of 49 x 49 positions, which fits the images of
    Cityscapes: smaller ones than 385 pixels fail, and of 512 pixels a corner is
    pooled. Global pooling is that of torchvision's LR-ASPP, from whose weights
    UniDD's segmentor starts. No weights are concerned: checkpoints of both
    heads are exchangeable.

    Args:
        kwargs: Settings of mmseg's LRASPPHead.
    """
    head = ROOT_MODELS.build(dict(kwargs, type='mmseg.LRASPPHead'))
    head.image_pool[0] = nn.AdaptiveAvgPool2d(1)
    return head
