"""Selection of points whose mean follows the mean of all."""
from typing import Any, List, Mapping, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.progress import Progress
from .base import CoresetBaseline
from .grid import PRODUCT_BITS, Grid, product_error


@MODELS.register_module()
class HerdingCoreset(CoresetBaseline):
    r"""Herding: each image brings the mean of the chosen nearest to the full mean.

    Algorithm 4 of `iCaRL: Incremental Classifier and Representation Learning`
    (Rebuffi et al., CVPR 2017), after Welling (ICML 2009); no image twice:

    .. math:: p_k = \arg\min_x \| \mu - \frac{1}{k} (\phi(x) +
        \sum_{j=1}^{k-1} \phi(p_j)) \|

    The distance to the mean falls like 1/k, that of a random choice like
    the square root of that. Products are exact on a grid (:class:`Grid`); the
    lowest index wins a tie.

    Args:
        normalize: Scale features to L2 norm 1 first, as iCaRL does.
    """

    uses_features = True

    def __init__(self, normalize: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Never: the rule has no random part."""
        return False

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices in the order of choice."""
        return herd(features, budget, self.normalize)


def herd(features, num: int, normalize: bool = True) -> List[int]:
    """Herding, one product of a matrix and a vector per choice.

    With S the sum of those chosen before, the rule is the least
    ``|x|^2 + 2 x.(S - k mu)``; what it adds up are whole numbers below 2**63. Products in fp32,
    whose error is bounded, tell which rows may be the least; only those are measured exactly.

    Args:
        features: (N, D) numbers in fp16, fp32 or fp64, also memory-mapped ones; a copy in fp32
            is held.
        num: How many to choose, at most N.
        normalize: Scale rows to L2 norm 1 first.
    """
    grid = Grid(features, normalize, min(PRODUCT_BITS, 60 - int(num).bit_length()))
    rough: np.ndarray = np.empty(grid.features.shape, np.float32)
    for own, values in grid.blocks():
        rough[own] = values
    norms = np.sqrt(grid.squares)
    taken = np.zeros(len(grid))
    mean, total = grid.mean.astype(np.int64), np.zeros(rough.shape[1], np.int64)
    progress = Progress('herding', num)
    chosen: List[int] = []
    for k in range(1, num + 1):
        direction = total - k * mean
        costs = grid.squares + 2. * (rough @ direction.astype(np.float32)) + taken
        error = 2 * product_error(len(mean)) * np.linalg.norm(direction.astype(np.float64)) * norms
        near = np.flatnonzero(costs - error <= (costs + error).min())
        chosen.append(_least(grid, near, direction))
        taken[chosen[-1]] = np.inf
        total += grid[np.array(chosen[-1:])][0].astype(np.int64)
        progress.add()
    return chosen


def _least(grid: Grid, rows: np.ndarray, direction: np.ndarray) -> int:
    """The row of the least ``|x|^2 + 2 x.direction``, exactly; the lowest index wins a tie."""
    best, at = None, -1
    for i in range(0, len(rows), grid.step):
        own = rows[i:i + grid.step]
        costs = grid.squares[own].astype(np.int64) + 2 * (grid[own].astype(np.int64) @ direction)
        least = int(costs.argmin())
        if best is None or costs[least] < best:
            best, at = costs[least], int(own[least])
    return at
