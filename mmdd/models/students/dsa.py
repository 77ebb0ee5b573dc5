"""The augmentation of "Dataset Condensation with Differentiable Siamese Augmentation"."""
import math
from typing import Callable, Dict, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


class DSA:
    """Random augmentation of a batch on its own device (https://arxiv.org/abs/2102.08259).

    With ``mode='single'``, as in the paper, each batch gets one operation out of
    ``strategy``, with parameters drawn for every image. 'color' stands for brightness,
    saturation and contrast, one after the other. It works on normalised images, differentiably,
    and leaves labels alone. An mmpretrain batch augmentation:
    ``model=dict(train_cfg=dict(augments=[dict(type='mmdd.models.DSA')]))``.

    Args:
        strategy: Operations to choose from.
        mode: 'single', or 'multiple' to apply all in their order.
        flip: Probability of a flip of left and right.
        scale: Height and width are each scaled by a factor of [1 / scale, scale].
        rotate: Largest angle in degrees, either way.
        crop: Largest shift as a share of the side; what is uncovered is 0.
        cutout: Side of a square that is set to 0, as a share of the side.
        brightness: A number of [-brightness / 2, brightness / 2] is added.
        saturation: The distance from grey is multiplied by [0, saturation].
        contrast: The distance from the mean of the image is multiplied by
            [contrast, 1 + contrast].

    Raises:
        ValueError: If an operation or the mode is unknown.
    """

    def __init__(self,
                 strategy: Sequence[str] = ('color', 'crop', 'cutout', 'flip', 'scale', 'rotate'),
                 mode: str = 'single',
                 flip: float = 0.5,
                 scale: float = 1.2,
                 rotate: float = 15.,
                 crop: float = 0.125,
                 cutout: float = 0.5,
                 brightness: float = 1.,
                 saturation: float = 2.,
                 contrast: float = 0.5) -> None:
        self.operations: Dict[str, Callable[[Tensor], Tensor]] = dict(
            color=self._color, crop=self._crop, cutout=self._cutout, flip=self._flip,
            scale=self._scale, rotate=self._rotate)
        unknown = set(strategy) - set(self.operations)
        if unknown or not strategy or mode not in ('single', 'multiple'):
            raise ValueError(f'DSA: strategy must be of {sorted(self.operations)} and mode single '
                             f'or multiple; got {list(strategy)} and {mode!r}')
        self.strategy, self.mode = tuple(strategy), mode
        self.flip, self.scale, self.rotate, self.crop = flip, scale, rotate, crop
        self.cutout, self.brightness = cutout, brightness
        self.saturation, self.contrast = saturation, contrast

    def __call__(self, images: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        """Augment images (B, 3, H, W); scores (B, K) stay."""
        chosen = self.strategy
        if self.mode == 'single':
            chosen = (self.strategy[int(torch.randint(len(self.strategy), ()))], )
        for name in chosen:
            images = self.operations[name](images)
        return images, scores.float()

    def _uniform(self, images: Tensor, low: float = 0., high: float = 1.,
                 count: int = 1) -> Tensor:
        # Drawn on CPU, so that a seed means the same on every device.
        return (low + (high - low) * torch.rand(len(images), count, 1, 1)).to(images)

    def _color(self, images: Tensor) -> Tensor:
        images = images + self._uniform(images, -self.brightness / 2, self.brightness / 2)
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * self._uniform(images, 0, self.saturation)
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (images - mean) * self._uniform(images, self.contrast, 1 + self.contrast)

    def _flip(self, images: Tensor) -> Tensor:
        return torch.where(self._uniform(images) < self.flip, images.flip(3), images)

    def _warp(self, images: Tensor, matrix: Tensor) -> Tensor:
        theta = torch.cat([matrix, torch.zeros_like(matrix[:, :, :1])], 2)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    def _scale(self, images: Tensor) -> Tensor:
        factors = self._uniform(images, 1 / self.scale, self.scale, 2)[:, :, 0, 0]
        return self._warp(images, torch.diag_embed(factors))

    def _rotate(self, images: Tensor) -> Tensor:
        angle = self._uniform(images, -self.rotate, self.rotate)[:, 0, 0, 0] * math.pi / 180
        sin, cos = angle.sin(), angle.cos()
        # Pixels are square, the grid's units are not: they are half a side each.
        ratio = images.shape[2] / images.shape[3]
        rows = [torch.stack([cos, -sin * ratio], 1), torch.stack([sin / ratio, cos], 1)]
        return self._warp(images, torch.stack(rows, 1))

    def _crop(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        reach = int(height * self.crop + 0.5), int(width * self.crop + 0.5)
        padded = F.pad(images, (reach[1], reach[1], reach[0], reach[0]))
        top, left = (torch.randint(2 * most + 1, (len(images), 1)) for most in reach)
        rows = (top + torch.arange(height)).to(images.device)
        columns = (left + torch.arange(width)).to(images.device)
        index = torch.arange(len(images), device=images.device)
        return padded.permute(0, 2, 3, 1)[index[:, None, None], rows[:, :, None],
                                          columns[:, None]].permute(0, 3, 1, 2).contiguous()

    def _cutout(self, images: Tensor) -> Tensor:
        keep = torch.ones(len(images), 1, *images.shape[2:])
        inside = []
        for side in images.shape[2:]:
            length = int(side * self.cutout + 0.5)
            start = torch.randint(side + (1 - length % 2), (len(images), 1)) - length // 2
            place = torch.arange(side)
            inside.append((place >= start) & (place < start + length))
        keep[:, 0][inside[0][:, :, None] & inside[1][:, None]] = 0
        return images * keep.to(images)
