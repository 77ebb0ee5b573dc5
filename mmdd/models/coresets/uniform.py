"""Class-balanced selection."""
from typing import List, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from ..label_samplers import balanced_choice
from .base import CoresetBaseline


@MODELS.register_module()
class UniformCoreset(CoresetBaseline):
    """Real images with balanced classes (UniDD, section 4.3, 'Uniform').

    For images of several objects the balance is over objects, in segmentation
    over the images in which a class is present, by the greedy rule of
    :func:`balanced_choice`.

    Args:
        stratified: Spread the numbers of objects as in the real set, see
            :class:`BalancedLabelSampler`; not in the paper.
    """

    def __init__(self, stratified: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.stratified = stratified

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices, the rarest class served first."""
        return balanced_choice(labels, budget, self.num_classes, self.draw_seed,
                               stratified=self.stratified)
