"""Masks of objects as COCO's run-length codes."""
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np


class RunLengths:
    """Masks of one size, each a run-length code as pycocotools compresses it.

    Args:
        size: (height, width) in pixels.
        counts: M codes.
    """

    def __init__(self, size: Sequence[int],
                 counts: Union[Sequence[str], np.ndarray]) -> None:
        self.size: Tuple[int, ...] = tuple(size)
        self.counts = np.array(counts, object)

    @classmethod
    def encode(cls, masks: np.ndarray) -> 'RunLengths':
        """The codes of masks (M, H, W) bool."""
        from pycocotools import mask as coco
        columns = np.asfortranarray(np.asarray(masks, np.uint8).transpose(1, 2, 0))
        return cls(masks.shape[1:], [code['counts'].decode() for code in coco.encode(columns)])

    def decode(self) -> np.ndarray:
        """The masks, (M, H, W) bool."""
        from pycocotools import mask as coco
        if not len(self):
            return np.zeros((0, *self.size), bool)
        return np.ascontiguousarray(coco.decode(self.entries()).transpose(2, 0, 1)).astype(bool)

    def areas(self) -> List[int]:
        """How many pixels each mask has."""
        from pycocotools import mask as coco
        return coco.area(self.entries()).tolist() if len(self) else []

    def entries(self) -> List[Dict[str, Any]]:
        """The ``segmentation`` of COCO annotations: dicts of ``size`` and ``counts``."""
        return [dict(size=list(self.size), counts=counts) for counts in self.counts]

    def joined(self, other: 'RunLengths') -> 'RunLengths':
        """These masks, then those of another set of the same size."""
        return RunLengths(self.size, np.concatenate([self.counts, other.counts]))

    def __getitem__(self, keep: Union[np.ndarray, slice]) -> 'RunLengths':
        return RunLengths(self.size, self.counts[keep])

    def __len__(self) -> int:
        return len(self.counts)
