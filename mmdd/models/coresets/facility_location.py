"""Selection of points that stand for all."""
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.progress import Progress
from .base import CoresetBaseline
from .grid import Grid
from .lazy import above, largest

# Rows whose gains are brought up to date at a time.
BATCH = 64


@MODELS.register_module()
class FacilityLocationCoreset(CoresetBaseline):
    r"""Facility location: greedily the images that all others are near to.

    It raises :math:`F(S) = \sum_i \max_{j \in S} (d_{max} - d_{ij})` with the Euclidean
    distances of the features, so it lowers the sum of the distances to the nearest chosen
    image. F is monotone and submodular: greedy choice reaches at least 1 - 1/e of the best
    possible value (Nemhauser et al., 1978). The lowest index wins a tie. Time grows with the
    square of the number of images that compete: choose by class (an ``IPC`` budget) from large
    sets.
    """

    uses_features = True

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Never: the rule has no random part."""
        return False

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices in the order of choice."""
        return facility_location(features, budget)


def facility_location(features, num: int) -> List[int]:
    """Lazy greedy choice: gains only fall, so an old one is an upper bound (Minoux, 1978).

    Args:
        features: (N, D) numbers in fp16, fp32 or fp64, also memory-mapped ones.
        num: How many to choose, at most N.
    """
    grid = Grid(features)
    # No distance is larger than that.
    nearest = np.full(len(grid), 2 * np.sqrt(grid.squares.max(initial=0)))
    gains, seen = np.full(len(grid), np.inf), np.full(len(grid), -1)
    progress = Progress('facility location', num)
    chosen: List[int] = []
    while len(chosen) < num:
        top, cutoff = largest(gains, BATCH)
        stale = top[seen[top] < len(chosen)]
        gains[stale], seen[stale] = _gains(grid, stale, nearest), len(chosen)
        best = int(top[gains[top].argmax()])
        if above(gains[[best]], np.array([best]), cutoff)[0]:
            chosen.append(best)
            gains[best], seen[best] = -1, num  # never again
            for own, distances in _distances(grid, np.array([best])):
                nearest[own] = np.minimum(nearest[own], distances[0])
            progress.add()
    return chosen


def _gains(grid: Grid, rows: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """How much each row would lower the sum of the distances to the nearest chosen one."""
    gains = np.zeros(len(rows))
    for own, distances in _distances(grid, rows):
        gains += np.maximum(nearest[own] - distances, 0).sum(1)
    return gains


def _distances(grid: Grid, rows: np.ndarray) -> Iterator[Tuple[slice, np.ndarray]]:
    """Euclidean distances on the grid of some rows to all, block by block."""
    values = grid[rows]
    for own, others in grid.blocks():
        squares = values @ others.T
        squares *= -2
        squares += grid.squares[rows, None]
        squares += grid.squares[own]
        yield own, np.sqrt(squares, out=squares)
