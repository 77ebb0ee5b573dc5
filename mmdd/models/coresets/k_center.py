"""Selection of points that cover the feature space."""
from typing import Any, List, Mapping, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed
from .base import CoresetBaseline
from .grid import grid_mean, to_grid


@MODELS.register_module()
class KCenterCoreset(CoresetBaseline):
    r"""Greedy k-center: always the image farthest from those chosen so far.

    Algorithm 1 of `Active Learning for Convolutional Neural Networks: A
    Core-Set Approach` (Sener and Savarese, ICLR 2018), without labelled images to
    begin with: :math:`u = \arg\max_i \min_{j \in s} \Delta(x_i, x_j)` with the
    Euclidean distance of the features. Its largest distance is at most twice
    the best possible one.

    Distances are exact on a grid (:func:`to_grid`); the lowest index wins a tie.

    Args:
        start: 'mean' begins with the image nearest to the mean feature;
            'random' with a random one.

    Raises:
        ValueError: If ``start`` is another word.
    """

    uses_features = True
    limits = dict(start=('mean', 'random'))

    def __init__(self, start: str = 'mean', **kwargs) -> None:
        if start not in ('mean', 'random'):
            raise ValueError(f"KCenterCoreset: start must be 'mean' or 'random', got {start!r}")
        super().__init__(**kwargs)
        self.start = start

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Only where the first image is a random one."""
        return config.get('start', 'mean') == 'random'

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices in the order of choice."""
        if self.start == 'mean':
            return farthest_first(features, budget)
        rng = np.random.default_rng(derive_seed('k-center', self.draw_seed))
        return farthest_first(features, budget, int(rng.integers(len(features))))


def farthest_first(features, num: int, first: int = -1) -> List[int]:
    """Farthest-first traversal, one product of a matrix and a vector per choice.

    Args:
        features: (N, D).
        num: How many to choose, at most N.
        first: Index to begin with; -1 takes the one nearest to the mean.
    """
    values = to_grid(features)
    squares = np.einsum('nd,nd->n', values, values)
    if first < 0:
        mean = grid_mean(values)
        first = int((squares - 2 * (values @ mean)).argmin())
    nearest = np.full(len(values), np.inf)
    progress = Progress('k-center', num)
    progress.add()
    chosen = [first]
    while len(chosen) < num:
        last = chosen[-1]
        distances = squares - 2 * (values @ values[last]) + squares[last]
        np.minimum(nearest, distances, out=nearest)
        nearest[last] = -1  # below 0, the distance of a copy that is still free
        chosen.append(int(nearest.argmax()))
        progress.add()
    return chosen[:num]
