"""Random selection."""
from typing import List, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.seed import derive_seed
from .base import CoresetBaseline


@MODELS.register_module()
class RandomCoreset(CoresetBaseline):
    """Real images drawn uniformly without replacement (iCaRL's 'Random')."""

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return the first ``budget`` of a random permutation."""
        rng = np.random.default_rng(derive_seed('random coreset', self.draw_seed))
        return rng.permutation(len(labels))[:budget].tolist()
