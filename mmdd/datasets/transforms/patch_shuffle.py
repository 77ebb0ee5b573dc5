"""Shuffling the patches of an image."""
from typing import Any, Dict

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmdd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PatchShuffle(BaseTransform):
    """Cut an image into a grid of equal patches and shuffle them.

    A step of the student training of RDED (https://arxiv.org/abs/2312.03526),
    whose images are mosaics of ``factor ** 2`` crops.

    Args:
        factor: Patches along each side; 1 changes nothing. Rows and columns that
            remain where a side is no multiple of it stay in place.

    Raises:
        ValueError: If ``factor`` is below 1.
    """

    def __init__(self, factor: int = 2) -> None:
        if factor < 1:
            raise ValueError(f'PatchShuffle: factor must be at least 1, got {factor}')
        self.factor = factor

    @cache_randomness
    def order(self) -> np.ndarray:
        """Which patch goes to each place, a permutation of ``factor ** 2``."""
        return np.random.permutation(self.factor**2)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Shuffle ``results['img']``, (H, W, C)."""
        image, n = results['img'], self.factor
        h, w = image.shape[0] // n, image.shape[1] // n
        if n == 1 or not h or not w:
            return results
        shuffled = image.copy()
        for place, patch in enumerate(self.order()):
            (y, x), (v, u) = divmod(place, n), divmod(int(patch), n)
            shuffled[y * h:y * h + h, x * w:x * w + w] = image[v * h:v * h + h, u * w:u * w + w]
        results['img'] = shuffled
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(factor={self.factor})'
