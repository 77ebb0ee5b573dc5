"""Selection of the images with most objects."""
from typing import List, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from ..label_samplers import balanced_choice
from .base import CoresetBaseline


@MODELS.register_module()
class DensestCoreset(CoresetBaseline):
    """The real images with most objects, with balanced classes.

    The baseline that is as dense as composed layouts. Images are chosen one by one: of those
    that hold the class with fewest objects so far (the lowest index where classes tie), the one
    with most objects; a random one, by ``seed``, where images tie. It is the rule of
    :class:`UniformCoreset` with the densest image in place of a random one.

    The objects of an image are its boxes in detection, those that are not marked as ignored, and
    the classes present (without 'background') in segmentation. In classification every image has
    one, and the rule is that of ``UniformCoreset``. It reads no features.
    """

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices in the order of choice."""
        return balanced_choice(labels, budget, self.num_classes, self.draw_seed, densest=True)
