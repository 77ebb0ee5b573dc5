"""Turning, zooming and moving an image without an empty border."""
import math
from typing import Any, Dict, Sequence, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmdd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomAffine(BaseTransform):
    """Turn and zoom an image about its centre and move it; its size stays.

    What comes in from outside is the reflected image: a border of one colour would be an edge.

    Args:
        rotate: Largest angle in degrees, either way.
        zoom: Range of the factor, drawn evenly on a logarithmic scale; above 1 enlarges.
        shift: Largest shift as a share of the side, in each direction.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, rotate: float = 15., zoom: Sequence[float] = (0.7, 1.25),
                 shift: float = 0.15) -> None:
        low, high = zoom
        if not 0 < low <= high or rotate < 0 or shift < 0:
            raise ValueError(
                f'RandomAffine: rotate and shift must be at least 0 and zoom (least, most), both '
                f'above 0; got rotate={rotate}, zoom={tuple(zoom)}, shift={shift}')
        self.rotate, self.zoom, self.shift = rotate, (low, high), shift

    @cache_randomness
    def draw(self) -> Tuple[float, float, float, float]:
        """Angle in degrees, factor, shift to the right and down as shares of the sides."""
        angle = np.random.uniform(-self.rotate, self.rotate)
        factor = math.exp(np.random.uniform(*np.log(self.zoom)))
        right, down = np.random.uniform(-self.shift, self.shift, 2)
        return angle, factor, right, down

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Warp ``results['img']``, (H, W, C)."""
        height, width = results['img'].shape[:2]
        angle, factor, right, down = self.draw()
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, factor)
        matrix[:, 2] += right * width, down * height
        results['img'] = cv2.warpAffine(
            results['img'], matrix, (width, height), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(rotate={self.rotate}, zoom={self.zoom}, '
                f'shift={self.shift})')
