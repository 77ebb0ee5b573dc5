"""The largest of many values of which most are out of date."""
from typing import Tuple

import numpy as np

# The least of the largest values, and its index.
Cutoff = Tuple[float, int]


def largest(bounds: np.ndarray, number: int) -> Tuple[np.ndarray, Cutoff]:
    """Indices of the largest bounds; the lowest index wins a tie.

    Args:
        bounds: (N,) values that may be too large, but never too small.
        number: How many, at least 1.

    Returns:
        tuple: at most ``number`` indices in ascending order, and the last in rank as
        (bound, index).
    """
    place = max(0, len(bounds) - number)
    least = np.partition(bounds, place)[place]
    top = np.flatnonzero(bounds > least)
    ties = np.flatnonzero(bounds == least)[:max(1, number - len(top))]
    return np.sort(np.concatenate([top, ties])), (least, int(ties[-1]))


def above(values: np.ndarray, rows: np.ndarray, cutoff: Cutoff) -> np.ndarray:
    """Which of the rows come before all that are not among the :func:`largest`."""
    return (values > cutoff[0]) | ((values == cutoff[0]) & (rows <= cutoff[1]))
