"""ConvNet-D, the plain network of the dataset-distillation papers."""
from typing import Dict, Optional, Sequence, Tuple

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdd.registry import MODELS

_POOLS = dict(avg=nn.AvgPool2d, max=nn.MaxPool2d)


def _by_pixel(maps: Tensor) -> Tensor:
    """The same maps laid out in memory as a CPU pools and convolves them fastest."""
    if maps.device.type != 'cpu':
        return maps
    return maps.contiguous(memory_format=torch.channels_last)


@MODELS.register_module()
class ConvNet(BaseModule):
    """D blocks of 3x3 convolution, normalisation, ReLU and 2x2 pooling.

    As a backbone it gives one map per index of ``out_indices``; the pooling
    comes before a block, not after it, so that block ``i`` has stride
    ``2 ** sum(downsample[:i + 1])``.

    The network of `Dataset Condensation with Gradient Matching
    <https://arxiv.org/abs/2006.05929>`_ and its successors is
    ``ConvNet(widths=(128, ) * D, conv_bias=True, final_pool=True, flatten=True)``
    with a linear classifier on its ``128 * (H // 2**D) * (W // 2**D)`` values:
    instance normalisation, and average pooling after every block.

    Args:
        widths: Channels of the D blocks.
        downsample: Whether a block starts with a pooling; by default all but the first.
        pool: 'avg' or 'max'.
        norm_cfg: Normalisation of the blocks; instance normalisation by default.
        stem_norm_cfg: Normalisation of the first block, if another one.
            Instance normalisation there takes the colours of the background out.
        out_indices: Blocks whose maps are returned; the last one by default.
        in_channels: Channels of the input.
        conv_bias: Whether the convolutions have a bias.
        final_pool: Whether one more pooling follows the last block.
        flatten: Whether the map of the last block is returned as a vector
            (B, C * h * w), for a linear classifier on all of it.
        frozen_stages: How many of the first blocks keep their weights and statistics, as in
            mmdet's backbones: they have no backward pass.
        init_cfg: Initialisation; that of PyTorch by default, as in the papers.

    Raises:
        ValueError: If ``pool`` is unknown, ``downsample`` has another length or there are not
            so many blocks to freeze.
    """

    limits = dict(widths=dict(low=1), pool=tuple(_POOLS), in_channels=dict(low=1),
                  frozen_stages=dict(low=0))

    def __init__(self,
                 widths: Sequence[int] = (128, 128, 128),
                 downsample: Optional[Sequence[bool]] = None,
                 pool: str = 'avg',
                 norm_cfg: Optional[Dict] = None,
                 stem_norm_cfg: Optional[Dict] = None,
                 out_indices: Optional[Sequence[int]] = None,
                 in_channels: int = 3,
                 conv_bias: bool = False,
                 final_pool: bool = False,
                 flatten: bool = False,
                 frozen_stages: int = 0,
                 init_cfg: Optional[Dict] = None) -> None:
        super().__init__(init_cfg)
        if downsample is None:
            downsample = [i > 0 for i in range(len(widths))]
        if pool not in _POOLS or len(downsample) != len(widths):
            raise ValueError(
                f'ConvNet: pool must be one of {sorted(_POOLS)} and downsample as long as '
                f'widths; got pool={pool!r}, {len(downsample)} and {len(widths)}')
        if not 0 <= frozen_stages <= len(widths):
            raise ValueError(f'ConvNet: frozen_stages must be in [0, {len(widths)}], the number '
                             f'of blocks; got {frozen_stages}')
        norm_cfg = norm_cfg or dict(type='IN', affine=True)
        self.out_indices = tuple(out_indices or (len(widths) - 1, ))
        # Without weights: checkpoints are the same with and without it.
        tail = [_POOLS[pool](2)] if final_pool else []
        self.tail = nn.Sequential(*tail, *([nn.Flatten()] if flatten else []))
        self.blocks = nn.ModuleList()
        for index, (width, down) in enumerate(zip(widths, downsample)):
            norm = stem_norm_cfg if index == 0 and stem_norm_cfg else norm_cfg
            layers = [_POOLS[pool](2)] if down else []
            layers += [nn.Conv2d(in_channels, width, 3, padding=1, bias=conv_bias),
                       build_norm_layer(norm, width)[1], nn.ReLU(inplace=True)]
            self.blocks.append(nn.Sequential(*layers))
            in_channels = width
        self.frozen_stages = frozen_stages
        self.blocks[:frozen_stages].requires_grad_(False)

    def train(self, mode: bool = True) -> 'ConvNet':
        """Switch between training and evaluation; frozen blocks stay in evaluation."""
        super().train(mode)
        self.blocks[:self.frozen_stages].eval()
        return self

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (B, widths[i], H / stride, W / stride) of the blocks in ``out_indices``.

        ``final_pool`` and ``flatten`` change that of the last block.
        """
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(_by_pixel(x) if index else x)
            maps.append(x)
        maps[-1] = self.tail(x)
        # Not all that reads maps looks at their strides: mmcv's RoIAlign does not.
        return tuple(maps[i].contiguous() for i in self.out_indices)
