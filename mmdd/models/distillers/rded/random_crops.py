"""Random crops of photographs, as torchvision's ``RandomResizedCrop`` draws them."""
import math
from typing import List, Sequence

import torch

# How often a crop is drawn that may not fit.
TRIES = 10


def random_windows(height: int, width: int, num: int, scale: Sequence[float],
                   ratio: Sequence[float], source: torch.Generator) -> List[List[int]]:
    """Draw crops of one photograph.

    The area is uniform in ``scale``, the ratio log-uniform in ``ratio``, the place uniform. A
    crop that does not fit in ten draws is the largest one in the centre that keeps to
    ``ratio``. Each value takes one draw of ``source``, so that a larger ``num`` begins with
    the crops of a smaller one.

    Args:
        height, width: Size of the photograph in pixels.
        num: How many crops.
        scale: (least, largest) area as a share of the photograph.
        ratio: (least, largest) width over height.
        source: Generator that the draws come from.

    Returns:
        list: ``num`` windows, xyxy in whole pixels.
    """
    return [_window(height, width, scale, ratio, source) for _ in range(num)]


def _window(height: int, width: int, scale: Sequence[float], ratio: Sequence[float],
            source: torch.Generator) -> List[int]:
    for _ in range(TRIES):
        area = height * width * _uniform(scale[0], scale[1], source)
        aspect = math.exp(_uniform(math.log(ratio[0]), math.log(ratio[1]), source))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            y, x = (int(torch.randint(room + 1, (), generator=source))
                    for room in (height - h, width - w))
            return [x, y, x + w, y + h]
    return _centre(height, width, ratio)


def _uniform(low: float, high: float, source: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), dtype=torch.float64, generator=source))


def _centre(height: int, width: int, ratio: Sequence[float]) -> List[int]:
    low, high = ratio
    w, h = min(width, round(height * high)), min(height, round(width / low))
    x, y = (width - w) // 2, (height - h) // 2
    return [x, y, x + w, y + h]
