"""Images that start from a collage of the real objects of their layout."""
from functools import cache
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from torch import Tensor

from mmdd.datasets.annotations import load_image
from mmdd.registry import TASK_UTILS
from mmdd.structures import DistillSlot, Ground, Layout
from .cutout import cut_out, fill_holes

# Backgrounds are compared at this side in pixels; only the best one is made in full.
SKETCH = 64


class Cutout(NamedTuple):
    """An object that is to be pasted.

    Attributes:
        window: Rows and columns of the canvas.
        place: (x1, y1, x2, y2) of that, as shares of the canvas.
        pixels: (h, w, 3) float32 RGB in [0, 255].
        opacity: (h, w, 1) in [0, 1].
    """
    window: Tuple[slice, slice]
    place: np.ndarray
    pixels: np.ndarray
    opacity: np.ndarray


@TASK_UTILS.register_module()
class CollageInitializer:
    """Starts from the objects of a composed layout, pasted on a real background.

    A real image without its objects is the background: of the grounds of the layout the one
    before which the least visible of its objects stands out most. The objects are cut out of
    their own images (:func:`cut_out`; where there are masks by them) and pasted at their
    places. Noise is added up to ``strength`` of the path and taken away again (`SDEdit
    <https://arxiv.org/abs/2108.01073>`_, section 3.1), with guidance as always. So the layout
    holds from the first step, which a prompt alone cannot say, and the prior makes one picture
    of the pieces. A layout of one real image starts from that image.

    Not in the paper of UniDD. The lower ``strength`` is, the more of the real pixels remain: at
    0.3 it is nearly the collage.

    Args:
        strength: How much of the path to noise a collage goes, in (0, 1].
        noise_rounds: In how many rounds a slot starts from noise before, as the paper does. A
            collage is the way out for what the prior does not draw by itself then; needs
            refiners that reject, and a larger ``train_cfg.max_rounds``.

    Raises:
        ValueError: If an argument is out of range.
    """

    limits = dict(strength=dict(above=0, high=1), noise_rounds=dict(low=0))

    def __init__(self, strength: float = 0.6, noise_rounds: int = 0) -> None:
        if not 0 < strength <= 1:
            raise ValueError(f'CollageInitializer: strength must be in (0, 1], got {strength}')
        if noise_rounds < 0:
            raise ValueError(
                f'CollageInitializer: noise_rounds must be at least 0, got {noise_rounds}')
        self.strength = strength
        self.noise_rounds = noise_rounds

    def describe(self, layout: Layout) -> Dict[str, Any]:
        """The prototype of a slot: what its collage is made of, in plain numbers and text.

        It names ``noise_rounds`` if there are any: attempts of earlier rounds do without.

        Raises:
            ValueError: If the layout names no real image to start from.
        """
        grounds = getattr(layout, 'grounds', ())
        if not grounds and not layout.path:
            raise ValueError(
                f'CollageInitializer: layout {layout.image_id!r} names neither its real image nor '
                f'grounds and parts of a collage; let the label sampler give them, or set '
                f'model.initializer=None')
        grounds = grounds or (Ground(layout.path, np.zeros((0, 4))), )
        return dict(
            **(dict(noise_rounds=self.noise_rounds) if self.noise_rounds else {}),
            grounds=[dict(path=ground.path, holes=[plain_box(box) for box in ground.holes])
                     for ground in grounds],
            parts=[dict(path=part.path, label=int(part.label), box=plain_box(part.box),
                        place=plain_box(part.place)) for part in getattr(layout, 'parts', ())])

    def compose(self, slot: DistillSlot) -> np.ndarray:
        """The collage (H, W, 3) uint8 RGB of a slot with such a prototype."""
        images = cache(lambda path: load_image(path, slot.size))
        assert slot.prototype is not None
        cutouts = [self._cutout(slot, part, images(part['path']))
                   for part in slot.prototype['parts']]
        best = max(slot.prototype['grounds'], key=lambda ground: least_contrast(
            empty_ground(ground, slot.size, SKETCH), cutouts))
        canvas = empty_ground(best, slot.size).astype(np.float32)
        for cutout in cutouts:
            below = canvas[cutout.window]
            canvas[cutout.window] = below + cutout.opacity * (cutout.pixels - below)
        return canvas.round().clip(0, 255).astype(np.uint8)

    def _cutout(self, slot: DistillSlot, part: Dict[str, Any], source: np.ndarray) -> 'Cutout':
        box, place = (whole_box(part[key], slot.size) for key in ('box', 'place'))
        window = slice(place[1], place[3]), slice(place[0], place[2])
        size = place[2] - place[0], place[3] - place[1]
        pixels = cv2.resize(source[box[1]:box[3], box[0]:box[2]], size,
                            interpolation=cv2.INTER_AREA).astype(np.float32)
        if slot.mask is not None:
            opacity = (slot.mask[window] == part['label']).astype(np.float32)
        elif slot.target.masks is not None:
            own = slot.target.masks[slot.labels == part['label']]
            opacity = own[(slice(None), *window)].any(0).astype(np.float32)
        else:
            opacity = cv2.resize(cut_out(source, box), size, interpolation=cv2.INTER_AREA)
        shares = np.divide(place, [slot.size[1], slot.size[0]] * 2)
        return Cutout(window, shares, pixels, opacity[..., None])

    def latents(self, diffusion: Any, slots: Sequence[DistillSlot]) -> Optional[Tensor]:
        """Clean latents (B, C, h, w) of the collages of slots of one round; None for noise."""
        if slots[0].round < self.noise_rounds:
            return None
        pixels: List[np.ndarray] = [self.compose(slot) for slot in slots]
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous().float() / 255
        with torch.no_grad():
            return diffusion.encode_images(images.to(diffusion.device))


def empty_ground(ground: Dict[str, Any], size: Tuple[int, int],
                 side: float = np.inf) -> np.ndarray:
    """A background without its objects, uint8 RGB.

    Args:
        ground: Its file, and the boxes of its objects on the canvas.
        size: (height, width) of the canvas.
        side: The longer side of the result, at most that of the canvas.
    """
    factor = min(1., side / max(size))
    height, width = (max(1, round(factor * n)) for n in size)
    holes = [whole_box(np.multiply(box, factor), (height, width)) for box in ground['holes']]
    return fill_holes(load_image(ground['path'], (height, width)), holes)


def least_contrast(ground: np.ndarray, cutouts: Sequence[Cutout]) -> float:
    """How much the least visible object differs from what is behind it.

    Args:
        ground: (h, w, 3) uint8 RGB, the whole canvas in any size.
        cutouts: The objects.

    Returns:
        float: Distance of mean colours, Euclidean in RGB of [0, 255]; infinite without objects.
    """
    distances = []
    for cutout in cutouts:
        colour = (cutout.opacity * cutout.pixels).sum((0, 1)) / max(1e-6, cutout.opacity.sum())
        height, width = ground.shape[:2]
        x1, y1, x2, y2 = whole_box(cutout.place * [width, height, width, height], (height, width))
        distances.append(float(np.linalg.norm(colour - ground[y1:y2, x1:x2].mean((0, 1)))))
    return min(distances, default=np.inf)


def plain_box(box: Sequence[float]) -> List[float]:
    """A box as plain numbers."""
    return [round(float(value), 3) for value in box]


def whole_box(box: Union[Sequence[float], np.ndarray], size) -> tuple:
    """A box (x1, y1, x2, y2) in whole pixels inside an image of ``size``, never empty."""
    height, width = size
    x1, y1 = (int(min(max(0, np.floor(v + 1e-4)), n - 1))
              for v, n in zip(box[:2], (width, height)))
    x2, y2 = (int(min(max(low + 1, np.ceil(v - 1e-4)), n)) for v, low, n in zip(
        box[2:], (x1, y1), (width, height)))
    return x1, y1, x2, y2
