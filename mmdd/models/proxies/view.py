"""The sizes that a config's test pipeline gives to an image, on tensors."""
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.datasets.views import loader_dataset
from mmdd.utils.components import short_name

# Steps of other names that hold one of these words change the size in a way not known here.
_WORDS = ('resize', 'crop', 'pad', 'testtimeaug')


class InputView:
    """Resizes and crops images as a stock test pipeline does.

    It knows ``Resize`` (of mmcv, mmdet, mmseg, mmpretrain), ``ResizeEdge`` and
    ``CenterCrop``; steps that do not change the size are passed over. The
    result is differentiable and equals the stock one up to its rounding.

    Args:
        pipeline: Configs of the steps of a test pipeline.

    Raises:
        ValueError: If a step changes the size in another way.
    """

    def __init__(self, pipeline: Sequence[Mapping] = ()) -> None:
        self.steps: List[Tuple[Callable, Mapping]] = []
        for step in pipeline:
            name = short_name(step['type'])
            known = _STEPS.get(name)
            if known is not None:
                self.steps.append((known, step))
            elif any(word in name.lower() for word in _WORDS):
                raise ValueError(
                    f'the test pipeline of the proxy has {name}, which cannot be followed on '
                    f'tensors; use {", ".join(_STEPS)} there or set model.proxy.input_scale=None')

    @property
    def crops(self) -> bool:
        """Whether parts of the image are cut away."""
        return any(step is _center_crop for step, _ in self.steps)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the model is to see them, (B, 3, h, w)."""
        for step, settings in self.steps:
            images = step(images, settings)
        return images


def test_pipeline(cfg: Mapping) -> Sequence[Mapping]:
    """The test pipeline of a training config, or that for validation; () without one."""
    return loader_dataset(cfg, 'test_dataloader', 'val_dataloader').get('pipeline') or ()


def resize(images: Tensor, size: Tuple[int, int], interpolation: str = 'bilinear',
           backend: str = 'cv2') -> Tensor:
    """Resize (B, C, H, W) as OpenCV or Pillow does.

    Args:
        images: (B, C, H, W).
        size: (height, width) in pixels.
        interpolation: 'bilinear', 'bicubic' or 'area'.
        backend: 'cv2', or 'pillow', which smooths where it shrinks.

    Raises:
        ValueError: If the interpolation is another one.
    """
    height, width = images.shape[-2:]
    if tuple(size) == (height, width):
        return images
    if interpolation == 'area':
        if size[0] <= height and size[1] <= width:
            rows, columns = (_area_weights(n, m).to(images) for n, m in zip((height, width), size))
            return rows @ images @ columns.T
        interpolation = 'bilinear'
    if interpolation not in ('bilinear', 'bicubic'):
        raise ValueError(
            f'the test pipeline of the proxy resizes with {interpolation!r}; use bilinear, '
            f'bicubic or area there or set model.proxy.input_scale=None')
    return F.interpolate(images, size=tuple(size), mode=interpolation, align_corners=False,
                         antialias=backend == 'pillow')


def _area_weights(old: int, new: int) -> Tensor:
    """(new, old): which share of each old pixel every new one covers."""
    ends = torch.arange(new + 1, dtype=torch.float64)[:, None] * old / new
    pixels = torch.arange(old, dtype=torch.float64)[None]
    overlap = torch.minimum(ends[1:], pixels + 1) - torch.maximum(ends[:-1], pixels)
    return overlap.clamp_min(0) * new / old


def _rescaled(images: Tensor, size: Tuple[int, int], step: Mapping) -> Tensor:
    return resize(images, size, step.get('interpolation', 'bilinear'), step.get('backend', 'cv2'))


def _resize(images: Tensor, step: Mapping) -> Tensor:
    """mmcv's Resize: ``scale`` is (width, height)."""
    height, width = images.shape[-2:]
    scale: Any = step.get('scale')
    factor: Any = step.get('scale_factor')
    if scale is None:
        pair = (factor, factor) if isinstance(factor, (int, float)) else factor
        scale = int(width * pair[0] + 0.5), int(height * pair[1] + 0.5)
    elif isinstance(scale, int):
        scale = scale, scale
    if step.get('keep_ratio', False):
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        scale = int(width * factor + 0.5), int(height * factor + 0.5)
    return _rescaled(images, (scale[1], scale[0]), step)


def _resize_edge(images: Tensor, step: Mapping) -> Tensor:
    """mmpretrain's ResizeEdge: one edge is given, the other follows."""
    height, width = images.shape[-2:]
    scale, edge = step['scale'], step.get('edge', 'short')
    by_width = edge == 'width' or (edge == 'short' and width < height) or (
        edge == 'long' and width > height)
    size = (int(scale * height / width), scale) if by_width else (
        scale, int(scale * width / height))
    return _rescaled(images, size, step)


def _center_crop(images: Tensor, step: Mapping) -> Tensor:
    """mmcv's CenterCrop: ``crop_size`` is (width, height)."""
    size = step['crop_size']
    wanted = (size, size) if isinstance(size, int) else (size[1], size[0])
    height, width = (min(n, m) for n, m in zip(wanted, images.shape[-2:]))
    top, left = (max(0, int(round((m - n) / 2))) for n, m in zip((height, width),
                                                                 images.shape[-2:]))
    return images[..., top:top + height, left:left + width]


_STEPS: Dict[str, Callable] = dict(
    Resize=_resize, ResizeEdge=_resize_edge, CenterCrop=_center_crop)
