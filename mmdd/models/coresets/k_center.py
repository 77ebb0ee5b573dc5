"""Selection of points that cover the feature space."""
from typing import Any, List, Mapping, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.seed import derive_seed
from .base import CoresetBaseline
from .cover import Cover
from .grid import Grid


@MODELS.register_module()
class KCenterCoreset(CoresetBaseline):
    r"""Greedy k-center: always the image farthest from those chosen so far.

    Algorithm 1 of `Active Learning for Convolutional Neural Networks: A
    Core-Set Approach` (Sener and Savarese, ICLR 2018), without labelled images to
    begin with: :math:`u = \arg\max_i \min_{j \in s} \Delta(x_i, x_j)` with the
    Euclidean distance of the features. Its largest distance is at most twice
    the best possible one.

    Distances are exact on a grid (:class:`Grid`); the lowest index wins a tie.

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
    """Farthest-first traversal, the same as by distances of all pairs.

    Args:
        features: (N, D) numbers in fp16, fp32 or fp64, also memory-mapped ones.
        num: How many to choose, at most N.
        first: Index to begin with; -1 takes the one nearest to the mean.
    """
    grid = Grid(features)
    if first < 0:
        first = int((grid.squares - 2 * grid.dot(grid.mean)).argmin())
    cover = Cover(grid, num)
    cover.begin(first)
    while len(cover.chosen) < num:
        cover.advance()
    return cover.chosen[:num]
