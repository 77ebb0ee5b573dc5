"""Shuffling the patches of an image."""
from typing import Any, Dict, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmdd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PatchShuffle(BaseTransform):
    """Shuffle the columns of an image's patches, then their rows.

    A step of the student training of RDED (https://arxiv.org/abs/2312.03526),
    whose images are mosaics of ``factor ** 2`` crops. As in its released code whole
    columns and whole rows change places: 4 arrangements of 2 x 2 patches, 36 of 3 x 3.

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
    def order(self) -> Tuple[np.ndarray, np.ndarray]:
        """Which column and which row goes to each place, permutations of ``factor``."""
        return np.random.permutation(self.factor), np.random.permutation(self.factor)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Shuffle ``results['img']``, (H, W, C)."""
        image, n = results['img'], self.factor
        h, w = image.shape[0] // n, image.shape[1] // n
        if n == 1 or not h or not w:
            return results
        columns, rows = self.order()
        shuffled = image.copy()
        inner = image[:n * h, :n * w].reshape(n, h, n, w, -1)[rows][:, :, columns]
        shuffled[:n * h, :n * w] = inner.reshape(shuffled[:n * h, :n * w].shape)
        results['img'] = shuffled
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(factor={self.factor})'
