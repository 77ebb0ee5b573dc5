"""Farthest-first traversal that measures few of all distances."""
from typing import List

import numpy as np

from mmdd.utils.progress import Progress
from .grid import Grid, product_error
from .lazy import Cutoff, above, largest

# Rows that compete for the next choices at a time.
ACTIVE = 8192
# Rows and centers of one product of matrices: 8 MiB in fp32.
ROWS, CENTERS = 1024, 2048
# Exact distances of a row one by one; more are measured as a product of matrices.
PAIRS = 4


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
        self._rough = np.empty(self._centers.shape, np.float32)
        self._squares = np.empty(num)
        # Memory for rows and for products, kept: to ask for it takes long.
        self._room = np.empty((ROWS, grid.features.shape[1]))
        self._products = np.empty(ROWS * CENTERS, np.float32)
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
        self._centers[len(self.chosen)] = self._rough[len(self.chosen)] = center
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
            values = self.grid.read(own, self._room[:len(own)])
            squares = self.grid.squares[own]
            for j in range(int(self._seen[own[0]]), count, CENTERS):
                part = slice(j, min(j + CENTERS, count))
                self._bounds[own] = self._nearest(values, squares, self._bounds[own], part)
                self.measured += len(own) * (part.stop - part.start)
            self._seen[own] = count

    def _nearest(self, values: np.ndarray, squares: np.ndarray, bounds: np.ndarray,
                 part: slice) -> np.ndarray:
        """Bounds of rows that also know of some centers.

        Products in fp32, whose error is bounded, tell which centers may be the nearest; only
        the distances to these are measured exactly.
        """
        centers, norms = self._centers[part], self._squares[part]
        rough = self._products[:len(values) * len(norms)].reshape(len(values), len(norms))
        np.matmul(values.astype(np.float32), self._rough[part].T, out=rough)
        rough *= -2
        rough += norms.astype(np.float32)
        longest = norms.max()
        error = product_error(values.shape[1]) * (longest + 2 * np.sqrt(squares * longest))
        least = rough.min(1)
        rows = np.flatnonzero((least - error < bounds - squares) & (bounds > 0))
        near = rough[rows] <= (least + 2 * error)[rows, None]
        found = bounds.copy()
        if near.sum() > PAIRS * len(values):
            exact = (norms - 2 * (values[rows] @ centers.T)).min(1)
            found[rows] = np.minimum(bounds[rows], exact + squares[rows])
            return found
        places, others = np.nonzero(near)
        places = rows[places]
        exact = norms[others] - 2 * np.einsum('nd,nd->n', values[places], centers[others])
        np.minimum.at(found, places, exact + squares[places])
        return found

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
