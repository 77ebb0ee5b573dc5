"""Sub-prompts of single objects, each in its own place of the noise prediction."""
import math
import string
from dataclasses import dataclass, fields
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.structures import DistillSlot
from mmdd.utils.names import with_article


@dataclass
class RegionPrompts:
    r"""Prompts of objects inside their boxes, the prompt of the image around them.

    The denoiser predicts from every sub-prompt what it predicts from the whole one, and
    the predictions of the text branch are blended cell by cell, as in `MultiDiffusion
    <https://arxiv.org/abs/2302.08113>`_:

    .. math::
        \epsilon = (1 - \gamma w)\, \epsilon(z_t, c) + \gamma w
        \sum_j \frac{m_j}{\sum_k m_k}\, \epsilon(z_t, c_j), \quad
        w = \min(1, \textstyle\sum_k m_k)

    Classifier-free guidance follows. It is linear in that branch: to guide each
    prediction first and to blend then is the same.

    Args:
        template: Sub-prompt of one object, with the field ``{object}`` for its class name
            with an article, or ``{name}`` for the name alone.
        strength: :math:`\gamma` in [0, 1]; at 1 the prompt of the image does not count
            inside a box.
        feather: Width in latent cells over which a mask falls from 1 to 0, half of it on
            either side of the edge of the box; 1 gives the share of a cell that the box
            covers, 0 cuts at the centres of cells. Sides on the border of the image do not
            fall; a box that is narrower than ``feather`` never reaches 1.
        stop: Share of the steps after which the prompt of the image alone counts, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """
    template: str = 'a photo of {object}'
    strength: float = 1.
    feather: float = 1.
    stop: float = 1.

    def __post_init__(self) -> None:
        names = {name for _, name, _, _ in string.Formatter().parse(self.template)
                 if name is not None}
        if not names or not names <= {'object', 'name'}:
            raise ValueError(f'regions: template must have the field {{object}} or {{name}} and '
                             f'no other, got {self.template!r}')
        if not (0 <= self.strength <= 1 and 0 <= self.stop <= 1
                and 0 <= self.feather < math.inf):
            raise ValueError(
                f'regions: strength and stop must be in [0, 1] and feather at least 0, got '
                f'strength {self.strength}, stop {self.stop}, feather {self.feather}')

    def describe(self, labels: Sequence[int], classes: Sequence[str]) -> List[str]:
        """One sub-prompt for each object.

        Args:
            labels: (M,) classes of the objects.
            classes: Class names by index; underscores are read as spaces.
        """
        names = [classes[label].replace('_', ' ') for label in labels]
        return [self.template.format(object=with_article(name), name=name) for name in names]

    def weights(self, bboxes: np.ndarray, shape: Tuple[int, int], factor: int) -> Tensor:
        """What share of each cell belongs to each object, (M, 1, h, w) fp32.

        Args:
            bboxes: (M, 4) xyxy in pixels.
            shape: (h, w) of the latents.
            factor: Pixels per latent cell.
        """
        boxes = torch.as_tensor(bboxes, dtype=torch.float32).view(-1, 4) / factor
        columns, rows = (ramp(boxes[:, i], boxes[:, i + 2], size, self.feather)
                         for i, size in ((0, shape[1]), (1, shape[0])))
        masks = (rows[:, :, None] * columns[:, None])[:, None]
        return self.strength * masks / masks.sum(0).clamp_min(1)

    def condition(self, slots: Sequence[DistillSlot], whole: Any, parts: Any,
                  latent_shape: Tuple[int, int, int], factor: int) -> 'RegionalCondition':
        """The condition of B slots, some of which have sub-prompts.

        Args:
            slots: B slots of one size.
            whole: Their condition without regions.
            parts: Condition of all sub-prompts, slot after slot, one branch.
            latent_shape: (C, h, w).
            factor: Pixels per latent cell.

        Raises:
            ValueError: If a slot has not one box for each sub-prompt.
        """
        weights, owners = [], []
        for i, slot in enumerate(slots):
            number = len(slot.region_prompts or ())
            if not number:
                continue
            if slot.bboxes is None or len(slot.bboxes) != number:
                found = 'no' if slot.bboxes is None else len(slot.bboxes)
                raise ValueError(f'slot {slot.id} has {number} region_prompts and {found} bboxes; '
                                 f'give each sub-prompt one box')
            weights.append(self.weights(slot.bboxes, latent_shape[1:], factor))
            owners += [i] * number
        return RegionalCondition(whole, concatenate(whole, parts), torch.tensor(owners),
                                 torch.cat(weights), self.stop)


@dataclass
class RegionalCondition:
    """What the denoiser is told of a batch with sub-prompts.

    Attributes:
        whole: Condition of the B slots without sub-prompts, all branches.
        rows: The same, followed by the M sub-prompts of all slots: one call of the denoiser.
        owners: (M,) int64 which of the slots a sub-prompt belongs to.
        weights: (M, 1, h, w) share of each cell that belongs to a sub-prompt; sums to at
            most 1 over those of a slot.
        stop: Share of the steps after which ``whole`` is all that counts.
    """
    whole: Any
    rows: Any
    owners: Tensor
    weights: Tensor
    stop: float = 1.

    def passes(self, num: int) -> List[int]:
        """Denoiser evaluations that the sub-prompts of each of ``num`` slots add."""
        return torch.bincount(self.owners, minlength=num).tolist()

    def spread(self, x: Tensor, branches: int) -> Tensor:
        """What belongs to slots (B, ...) as rows: for every branch, then for the sub-prompts."""
        return torch.cat([x] * branches + [x[self.owners.to(x.device)]])

    def blend(self, predictions: Tensor, num: int) -> Tensor:
        """Blend the sub-prompts into the text branch, which is the last one.

        Args:
            predictions: Of all rows, (branches x B + M, C, h, w).
            num: B.

        Returns:
            Tensor: (branches x B, C, h, w).
        """
        others, text, parts = predictions.tensor_split(
            (len(predictions) - len(self.owners) - num, len(predictions) - len(self.owners)))
        weights, owners = self.weights.to(text), self.owners.to(text.device)
        inside = torch.zeros_like(text).index_add(0, owners, weights * parts)
        share = weights.new_zeros(num, *weights.shape[1:]).index_add(0, owners, weights)
        return torch.cat([others, (1 - share) * text + inside])


def build_regions(settings: Optional[Mapping]) -> Optional[RegionPrompts]:
    """Settings of an adapter's ``regions`` as :class:`RegionPrompts`; None stays None.

    Raises:
        ValueError: If a setting is unknown or out of range.
    """
    if settings is None:
        return None
    known = [field.name for field in fields(RegionPrompts)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f'model.diffusion.regions has no setting {unknown[0]!r}; '
                         f'it has {", ".join(known)}')
    return RegionPrompts(**settings)


def ramp(low: Tensor, high: Tensor, size: int, feather: float) -> Tensor:
    """The cells of one axis that lie in intervals, smoothed by a mean of width ``feather``.

    Args:
        low: (M,) starts in cells; at most 0 means from the border on.
        high: (M,) ends in cells; at least ``size`` means up to the border.
        size: Number of cells n.
        feather: Width in cells; 0 asks whether the centre of a cell lies inside.

    Returns:
        Tensor: (M, n) in [0, 1].
    """
    centres = torch.arange(size) + 0.5
    low = low.where(low > 0, torch.full_like(low, -torch.inf))[:, None]
    high = high.where(high < size, torch.full_like(high, torch.inf))[:, None]
    if feather == 0:
        return ((low <= centres) & (centres < high)).float()
    rise = (0.5 + (centres - low) / feather).clamp(0, 1)
    fall = (0.5 + (high - centres) / feather).clamp(0, 1)
    return (rise + fall - 1).clamp_min(0)


def concatenate(first: Any, second: Any) -> Any:
    """Conditions of one kind in one batch: tensors, or dataclasses of tensors."""
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    return type(first)(**{field.name: torch.cat([getattr(first, field.name),
                                                 getattr(second, field.name)])
                          for field in fields(first)})
