"""ResNetAP, the residual network of the dataset-distillation papers."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdd.registry import MODELS

_DEPTHS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
# (kernel size of the first convolution, pooling after it)
_STEMS = dict(large=(7, 4), mid=(3, 2), small=(3, 1))


class BasicBlockAP(BaseModule):
    """Two 3x3 convolutions around an average pooling, beside a 1x1 shortcut.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Factor by which the block shrinks its input.
        norm_cfg: Normalisation.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, norm_cfg: Dict) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, bias=False), nn.AvgPool2d(stride),
                build_norm_layer(norm_cfg, channels)[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, channels, H // stride, W // stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.avg_pool2d(y, self.stride) if self.stride != 1 else y
        return F.relu(self.norm2(self.conv2(y)) + self.downsample(x))


@MODELS.register_module()
class ResNetAP(BaseModule):
    """A ResNet of basic blocks whose strides are average poolings.

    The ResNetAP-10 of `Dataset Condensation via Efficient Synthetic-Data
    Parameterization <https://arxiv.org/abs/2205.14959>`_ (IDC) and of the
    hard-label protocol that Minimax Diffusion took over from it, without its
    global average pooling and its linear classifier: those are mmpretrain's
    ``GlobalAveragePooling`` and ``LinearClsHead``.

    Args:
        depth: 10, 18 or 34: one, two, or three to six blocks a stage.
        stem: 'large': 7x7 convolution and 4x4 average pooling, for images of
            more than 128 pixels. 'mid': 3x3 and 2x2, for more than 64. 'small':
            3x3 without a pooling.
        base_channels: Channels of the stem and the first stage; they double
            with every stage.
        norm_cfg: Normalisation; instance normalisation by default.
        out_indices: Stages whose maps are returned.
        in_channels: Channels of the input.
        init_cfg: Initialisation; He's normal one by default.

    Raises:
        ValueError: If ``depth`` or ``stem`` is unknown.
    """

    limits = dict(depth=tuple(_DEPTHS), stem=tuple(_STEMS), base_channels=dict(low=1),
                  in_channels=dict(low=1))

    def __init__(self,
                 depth: int = 10,
                 stem: str = 'large',
                 base_channels: int = 64,
                 norm_cfg: Optional[Dict] = None,
                 out_indices: Sequence[int] = (3, ),
                 in_channels: int = 3,
                 init_cfg: Union[Dict, List[Dict], None] = None) -> None:
        if depth not in _DEPTHS or stem not in _STEMS:
            raise ValueError(f'ResNetAP: depth must be one of {sorted(_DEPTHS)} and stem one of '
                             f'{sorted(_STEMS)}; got depth={depth!r}, stem={stem!r}')
        super().__init__(init_cfg or [
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', val=1, layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm'])])
        norm_cfg = norm_cfg or dict(type='IN', affine=True)
        self.out_indices = tuple(out_indices)
        kernel, pool = _STEMS[stem]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, base_channels, kernel, padding=kernel // 2, bias=False),
            build_norm_layer(norm_cfg, base_channels)[1], nn.ReLU(inplace=True),
            nn.AvgPool2d(pool))
        self.stages = nn.ModuleList()
        width = base_channels
        for stage, blocks in enumerate(_DEPTHS[depth]):
            channels = base_channels * 2**stage
            first = BasicBlockAP(width, channels, 1 if stage == 0 else 2, norm_cfg)
            rest = [BasicBlockAP(channels, channels, 1, norm_cfg) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            width = channels

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (B, base_channels * 2**i, h, w) of the stages in ``out_indices``."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)
