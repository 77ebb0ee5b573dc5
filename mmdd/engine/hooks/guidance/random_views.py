"""Random views of images, differentiable, with labels that move along."""
import math
from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistillSlot
from mmdd.utils.seed import generator

PADDINGS = ('border', 'reflection', 'zeros')
# Numbers that one view takes, in this order: shift x, y, scale, gain and bias of the three
# channels, contrast, hue.
NUMBERS = 11


@dataclass
class ViewDraws:
    """What was drawn for num · B views, one view of the batch after the other.

    Attributes:
        shift: (num · B, 2) shares of width and height, in x and y.
        scale: (num · B,) factors of the size of things.
        gain, bias: (num · B, 3) of the channels.
        contrast: (num · B,) factors of the distance to the mean grey.
        hue: (num · B,) turns about the grey axis, 1 being a full one.
        noise: (num · B, 3, H, W), None without noise.
    """
    shift: Tensor
    scale: Tensor
    gain: Tensor
    bias: Tensor
    contrast: Tensor
    hue: Tensor
    noise: Optional[Tensor]


@TASK_UTILS.register_module()
class RandomViews:
    """Random views of the image that an energy is averaged over.

    An energy that is low for one exact image alone is adversarial; its mean over random
    views is low where the picture shows the label (Shen et al., `Understanding and Improving
    Training-free Loss-based Diffusion Guidance <https://arxiv.org/abs/2403.12404>`_). A view
    is scaled about the centre and shifted, then changed in contrast, hue, and gain and bias
    of the channels, then noise is added. Boxes and masks move with it: boxes are clipped to
    the image, and dropped where too little of them is left; pixels of a mask that come from
    outside are ignored (255).

    Everything is drawn from the seed of the slot and the step, so a view depends on no batch
    mate, and what else is random about an image stays as it is without views.

    Args:
        num: Views of an image. All of them go through the proxy in one batch of num · B.
        shift: Largest shift, as a share of width and height, in [0, 1).
        scale: Range of the factor by which things grow.
        gain: Each channel is multiplied by 1 ± this at most.
        bias: Each channel is raised by ± this at most; images are in [0, 1].
        contrast: Distances to the mean grey are multiplied by 1 ± this at most, in [0, 1].
        hue: Largest turn of the colours about the grey axis, as a share of the circle, in
            [0, 0.5].
        noise: Standard deviation of the Gaussian noise of each value.
        padding: What is seen outside of the image: 'border', its nearest pixel;
            'reflection', which may show objects that have no box; 'zeros', black.
        min_visible: Share of a box's area below which it is dropped, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    limits = dict(num=dict(low=1), shift=dict(low=0, high=1), scale=dict(above=0),
                  gain=dict(low=0), bias=dict(low=0), contrast=dict(low=0, high=1),
                  hue=dict(low=0, high=0.5), noise=dict(low=0), padding=PADDINGS,
                  min_visible=dict(low=0, high=1))

    def __init__(self,
                 num: int = 2,
                 shift: float = 0.08,
                 scale: Union[float, Tuple[float, float]] = (1., 1.),
                 gain: float = 0.1,
                 bias: float = 0.,
                 contrast: float = 0.,
                 hue: float = 0.,
                 noise: float = 0.05,
                 padding: str = 'border',
                 min_visible: float = 0.1) -> None:
        if num < 1:
            raise ValueError(f'RandomViews: num must be at least 1, got {num}')
        self.scale = (scale, scale) if isinstance(scale, (int, float)) else tuple(scale)
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(
                f'RandomViews: scale must be a range (low, high) above 0, got {scale}')
        limits = dict(shift=(shift, 1), gain=(gain, 1), bias=(bias, 1), contrast=(contrast, 1),
                      hue=(hue, 0.5), noise=(noise, math.inf), min_visible=(min_visible, 1))
        for name, (value, limit) in limits.items():
            if not 0 <= value <= limit or value == (1 if name == 'shift' else math.inf):
                raise ValueError(f'RandomViews: {name} must be in [0, {limit}'
                                 f'{")" if name in ("shift", "noise") else "]"}, got {value}')
        if padding not in PADDINGS:
            raise ValueError(f'RandomViews: padding must be one of {PADDINGS}, got {padding!r}')
        self.num = num
        self.shift = shift
        self.gain = gain
        self.bias = bias
        self.contrast = contrast
        self.hue = hue
        self.noise = noise
        self.padding = padding
        self.min_visible = min_visible

    def draw(self, slots: Sequence[DistillSlot], *key: int) -> ViewDraws:
        """Draw the views of a batch.

        Args:
            slots: B slots of one size.
            key: Numbers that tell the draws for one slot apart, such as the step.
        """
        generators = [generator('view', slot.seed, *key, view)
                      for view in range(self.num) for slot in slots]
        u = torch.stack([torch.rand(NUMBERS, generator=g) for g in generators])
        low, high = self.scale
        signed = u * 2 - 1
        noise = None
        if self.noise:
            shape = (3, *slots[0].size)
            noise = self.noise * torch.stack([
                torch.randn(shape, generator=g) for g in generators])
        return ViewDraws(
            shift=self.shift * signed[:, :2], scale=low + (high - low) * u[:, 2],
            gain=1 + self.gain * signed[:, 3:6], bias=self.bias * signed[:, 6:9],
            contrast=1 + self.contrast * signed[:, 9], hue=self.hue * signed[:, 10], noise=noise)

    def __call__(self, images: Tensor, draws: ViewDraws) -> Tensor:
        """The views (num · B, 3, H, W) of images (B, 3, H, W), differentiable."""
        x = images.repeat(self.num, 1, 1, 1)
        if self.shift or self.scale != (1, 1):
            x = self._move(x, draws)
        if self.contrast:
            grey = x.mean((1, 2, 3), keepdim=True)
            x = grey + _per_image(draws.contrast, x) * (x - grey)
        if self.hue:
            x = torch.einsum('nij,njhw->nihw', hue_matrices(draws.hue).to(x), x)
        x = x * draws.gain.to(x)[..., None, None] + draws.bias.to(x)[..., None, None]
        return x if draws.noise is None else x + draws.noise.to(x)

    def _move(self, x: Tensor, draws: ViewDraws) -> Tensor:
        """Scale about the centre, then shift."""
        # What the sampling grid asks for is where a pixel of the view comes from.
        theta = torch.zeros(len(x), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = 1 / draws.scale
        theta[:, :, 2] = -2 * draws.shift / draws.scale[:, None]
        grid = F.affine_grid(theta.to(x), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode=self.padding, align_corners=False)

    def move_slots(self, slots: Sequence[DistillSlot], draws: ViewDraws) -> List[DistillSlot]:
        """The slots (num · B) whose targets fit the views."""
        places = zip(list(slots) * self.num, draws.scale.tolist(), draws.shift.tolist())
        return [replace(slot, target=slot.target.moved(slot.size, scale, shift, self.min_visible))
                for slot, scale, shift in places]


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like).view(-1, 1, 1, 1)


def hue_matrices(turns: Tensor) -> Tensor:
    """Rotations of RGB about the grey axis, (N, 3, 3), by shares (N,) of a full turn.

    Grey stays, and so does the mean of the channels; a third of a turn takes red to green.
    """
    angle = (2 * math.pi * turns)[:, None, None]
    cross = torch.tensor([[0., -1., 1.], [1., 0., -1.], [-1., 1., 0.]]) / 3**0.5
    return angle.cos() * torch.eye(3) + (1 - angle.cos()) / 3 + angle.sin() * cross
