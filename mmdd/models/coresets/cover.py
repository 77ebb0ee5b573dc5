"""Farthest-first traversal that measures few of all distances."""
from typing import List

import numpy as np

from mmdd.utils.progress import Progress
from .grid import Grid
from .lazy import Cutoff, above, largest

# Rows that compete for the next choices at a time.
ACTIVE = 8192
# Rows and centers of one product of matrices: 16 MiB in float64.
ROWS, CENTERS = 1024, 2048


class Cover:
    """How far every row is from the nearest of those chosen, as far as it matters.

    A distance only falls as more rows are chosen, so an old one is an upper bound. The rows of
    the largest bounds are brought up to date, and the farthest of them is chosen as long as no
    bound of the others is larger. A row far inside a cluster is so measured against few
    centers, and no row twice against the same one, in products of matrices. Distances are
    exact on the grid; the lowest index wins a tie.

    Args:
        grid: The rows.
        num: How many will be chosen.

    Attributes:
        chosen: Indices in the order of choice.
        measured: Pairs of rows and centers whose distance was measured.
    """

    def __init__(self, grid: Grid, num: int) -> None:
        self.grid = grid
        self.num = num
        self.chosen: List[int] = []
        self.measured = 0
        self._centers = np.empty((num, grid.features.shape[1]))
        self._squares = np.empty(num)
        self._progress = Progress('k-center', num)
        # Squared distances, -1 of those chosen: below 0, the distance of a copy that is free.
        self._bounds = np.empty(0)
        # How many of the chosen a bound knows of.
        self._seen = np.ones(len(grid), np.int32)

    def begin(self, first: int) -> None:
        """Choose the first row."""
        center = self._choose(first)
        self._bounds = self.grid.squares - 2 * self.grid.dot(center) + self.grid.squares[first]
        self._bounds[first] = -1
        self.measured += len(self.grid)

    def advance(self) -> None:
        """Choose the rows, if any, that are farther than all bounds but the largest."""
        top, cutoff = largest(self._bounds, ACTIVE)
        self._refresh(top)
        self._compete(top[above(self._bounds[top], top, cutoff)], cutoff)

    def _choose(self, index: int) -> np.ndarray:
        center = self.grid[np.array([index])][0]
        self._centers[len(self.chosen)] = center
        self._squares[len(self.chosen)] = self.grid.squares[index]
        self.chosen.append(index)
        self._progress.add()
        return center

    def _refresh(self, rows: np.ndarray) -> None:
        """Measure rows against the centers that they do not know of."""
        count = len(self.chosen)
        stale = rows[self._seen[rows] < count]
        stale = stale[np.argsort(self._seen[stale], kind='stable')]
        for i in range(0, len(stale), ROWS):
            own = stale[i:i + ROWS]
            values, squares = self.grid[own], self.grid.squares[own]
            for j in range(int(self._seen[own[0]]), count, CENTERS):
                part = slice(j, min(j + CENTERS, count))
                products = values @ self._centers[part].T
                products *= -2
                products += self._squares[part]
                nearest = products.min(1) + squares
                np.minimum(self._bounds[own], nearest, out=nearest)
                self._bounds[own] = nearest
                self.measured += products.size
            self._seen[own] = count

    def _compete(self, rows: np.ndarray, cutoff: Cutoff) -> None:
        """Choose among rows that are up to date until none is above the cutoff."""
        values, squares, nearest = self.grid[rows], self.grid.squares[rows], self._bounds[rows]
        while len(rows) and len(self.chosen) < self.num:
            best = int(nearest.argmax())
            center = self._choose(int(rows[best]))
            distances = squares - 2 * (values @ center) + squares[best]
            np.minimum(nearest, distances, out=nearest)
            nearest[best] = -1
            self.measured += len(rows)
            keep = above(nearest, rows, cutoff)
            if keep.sum() > len(rows) * .75 and keep[nearest.argmax()]:
                continue
            self._bounds[rows], self._seen[rows] = nearest, len(self.chosen)
            rows, squares, nearest = rows[keep], squares[keep], nearest[keep]
            values = values[keep]
        self._bounds[rows], self._seen[rows] = nearest, len(self.chosen)
