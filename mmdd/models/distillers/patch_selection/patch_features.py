"""Features of patches by any extractor."""
import os
from typing import List, Optional, Sequence, Tuple

import numpy as np

from mmdd.utils.seed import derive_seed
from ...proxies.feature_pass import FeaturePass
from .compositor import compose, crop_photograph

# (image file, short side, xyxy window or None) as in ``crop_photograph``.
Patch = Tuple[str, int, Optional[Sequence[int]]]


class PatchFeatures(FeaturePass):
    """A :class:`FeaturePass` over patches instead of whole photographs.

    Args:
        extractor: Model with ``features(images (B, 3, H, W)) -> (B, D)``.
        patches: What to cut, as the arguments of ``crop_photograph``.
        size: (height, width) to which patches are resized.
        batch_size: Patches in one forward pass.
        folder, name, share: As in :class:`FeaturePass`.
    """

    def __init__(self, extractor, patches: Sequence[Patch], size: Tuple[int, int],
                 batch_size: int, folder: Optional[str] = None, name: str = 'features',
                 share: bool = True) -> None:
        super().__init__(extractor, patches, size, batch_size, folder, name, share)

    def _path(self, item: Patch) -> str:
        return item[0]

    def _read(self, item: Patch) -> np.ndarray:
        return compose([crop_photograph(*item)], self.size)

    def _key(self, index: int) -> int:
        block: List[Patch] = self.blocks[index]
        files = [(os.stat(path).st_size, os.stat(path).st_mtime_ns) for path, _, _ in block]
        return derive_seed('patch features', str(self.size), str(self.batch_size), str(block),
                           str(files))
