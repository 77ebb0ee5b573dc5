"""The ResNets for CIFAR of the paper that introduced residual networks."""
from typing import Dict, List, Tuple, Union

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdd.registry import MODELS


class PlainBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without weights.

    The shortcut takes every ``stride``-th place and pads new channels with zeros, half of them
    on either side: option A of the paper.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Factor by which the block shrinks its input.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.pad = stride, (channels - in_channels) // 2
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, channels, H // stride, W // stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x[..., ::self.stride, ::self.stride]
        return F.relu(y + F.pad(shortcut, (0, 0, 0, 0, self.pad, self.pad)))


@MODELS.register_module()
class CIFARResNet(BaseModule):
    """The ResNets of `Deep Residual Learning <https://arxiv.org/abs/1512.03385>`_, section 4.2.

    They are far smaller than a ResNet-18: 0.27 million weights at depth 20. mmpretrain's
    ``ResNet_CIFAR`` is a ResNet-18 to 152 with another stem. The layers are named as in
    github.com/akamaster/pytorch_resnet_cifar10, which publishes weights.

    Args:
        depth: 6n + 2 for n blocks a stage: 20, 32, 44, 56, 110.
        init_cfg: Initialisation; He's normal one by default.

    Raises:
        ValueError: If ``depth`` is none of these numbers.
    """

    limits = dict(depth=dict(low=8))

    def __init__(self, depth: int = 20, init_cfg: Union[Dict, List[Dict], None] = None) -> None:
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f'CIFARResNet: depth must be 6n + 2, such as 20 or 56; got {depth}')
        super().__init__(init_cfg or [
            dict(type='Kaiming', layer='Conv2d', mode='fan_in'),
            dict(type='Constant', val=1, layer='BatchNorm2d')])
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for number, (before, width) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
            first = PlainBlock(before, width, 1 if number == 1 else 2)
            self.add_module(f'layer{number}', nn.Sequential(
                first, *(PlainBlock(width, width, 1) for _ in range(blocks - 1))))

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """The map (B, 64, H // 4, W // 4) of the last stage."""
        x = F.relu(self.bn1(self.conv1(x)))
        return (self.layer3(self.layer2(self.layer1(x))), )
