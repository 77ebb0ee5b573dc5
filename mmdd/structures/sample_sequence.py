"""Finished samples as a sequence whose images are read when they are asked for."""
from abc import abstractmethod
from typing import Sequence

import numpy as np

from .slot import DistilledSample


class SampleSequence(Sequence[DistilledSample]):
    """Samples without their images; :meth:`image` gives one."""

    @abstractmethod
    def image(self, index: int) -> np.ndarray:
        """The image of a sample, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def subset(self, indices: Sequence[int]) -> 'SampleSequence':
        """The samples at these indices."""
