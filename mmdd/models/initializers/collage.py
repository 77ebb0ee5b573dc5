"""Images that start from a collage of the real objects of their layout."""
from typing import Any, Dict, List, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from mmdd.datasets.annotations import load_image
from mmdd.registry import TASK_UTILS
from mmdd.structures import DistillSlot, Layout
from .cutout import cut_out, fill_holes


@TASK_UTILS.register_module()
class CollageInitializer:
    """Starts from the objects of a composed layout, pasted on a real background.

    The image of the largest object, without its objects, is the background; the objects of
    the layout are cut out of their own images (:func:`cut_out`; in segmentation by their masks)
    and pasted at their places. Noise is added up to ``strength`` of the path and taken away
    again (`SDEdit <https://arxiv.org/abs/2108.01073>`_, section 3.1), with guidance as always.
    So the layout holds from the first step, which a prompt alone cannot say, and the prior
    makes one picture of the pieces. A layout of one real image starts from that image.

    Not in the paper of UniDD. The lower ``strength`` is, the more of the real pixels remain: at
    0.3 it is nearly the collage.

    Args:
        strength: How much of the path to noise a collage goes, in (0, 1].

    Raises:
        ValueError: If ``strength`` is out of range.
    """

    def __init__(self, strength: float = 0.6) -> None:
        if not 0 < strength <= 1:
            raise ValueError(f'CollageInitializer: strength must be in (0, 1], got {strength}')
        self.strength = strength

    def describe(self, layout: Layout) -> Dict[str, Any]:
        """The prototype of a slot: what its collage is made of, in plain numbers and text."""
        parts = getattr(layout, 'parts', ())
        backdrop = parts[0].path if parts else layout.path
        return dict(
            backdrop=backdrop, holes=[list(map(float, box)) for box in getattr(
                layout, 'holes', ())],
            parts=[dict(path=part.path, label=int(part.label), box=list(map(float, part.box)),
                        place=list(map(float, part.place))) for part in parts])

    def compose(self, slot: DistillSlot) -> np.ndarray:
        """The collage (H, W, 3) uint8 RGB of a slot with such a prototype."""
        prototype, images = slot.prototype, {}

        def image(path: str) -> np.ndarray:
            if path not in images:
                images[path] = load_image(path, slot.size)
            return images[path]

        canvas = fill_holes(image(prototype['backdrop']), [
            whole_box(box, slot.size) for box in prototype['holes']]).astype(np.float32)
        for part in prototype['parts']:
            source = image(part['path'])
            box, place = (whole_box(part[key], slot.size) for key in ('box', 'place'))
            x1, y1, x2, y2 = place
            size = (x2 - x1, y2 - y1)
            crop = cv2.resize(source[box[1]:box[3], box[0]:box[2]], size,
                              interpolation=cv2.INTER_AREA)
            if slot.mask is None:
                opacity = cv2.resize(cut_out(source, box), size, interpolation=cv2.INTER_AREA)
            else:
                opacity = (slot.mask[y1:y2, x1:x2] == part['label']).astype(np.float32)
            below = canvas[y1:y2, x1:x2]
            canvas[y1:y2, x1:x2] = below + opacity[..., None] * (crop - below)
        return canvas.round().clip(0, 255).astype(np.uint8)

    def latents(self, diffusion: Any, slots: Sequence[DistillSlot]) -> Tensor:
        """Clean latents (B, C, h, w) of the collages of slots."""
        pixels: List[np.ndarray] = [self.compose(slot) for slot in slots]
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous().float() / 255
        with torch.no_grad():
            return diffusion.encode_images(images.to(diffusion.device))


def whole_box(box: Sequence[float], size) -> tuple:
    """A box (x1, y1, x2, y2) in whole pixels inside an image of ``size``, never empty."""
    height, width = size
    x1, y1 = (int(min(max(0, np.floor(v + 1e-4)), n - 1))
              for v, n in zip(box[:2], (width, height)))
    x2, y2 = (int(min(max(low + 1, np.ceil(v - 1e-4)), n)) for v, low, n in zip(
        box[2:], (x1, y1), (width, height)))
    return x1, y1, x2, y2
