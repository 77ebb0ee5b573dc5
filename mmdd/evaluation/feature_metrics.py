"""How near a distilled set is to the real one: distances of two sets of features."""
import math
from itertools import combinations, product
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from mmdd.utils.numbers import check_number

# Side of the blocks in which matrices of distances are made: 32 MiB of float64.
BLOCK = 2048
# A point this near to the surface of a ball counts as inside: features of one image differ
# by as much between batches, and a chosen real image lies on surfaces of its neighbours.
SLACK = 1e-5


def median_distance(points: np.ndarray, limit: int = 2000) -> float:
    """The median heuristic for the bandwidth of a kernel.

    The median distance of two different points (N, D); the mean where that is 0 and 1 where all
    points are equal. Of more than ``limit`` points as many are taken, evenly spaced by their
    norm: what comes out does not depend on their order. ValueError for fewer than two points, or
    such as are not finite.
    """
    from scipy.spatial.distance import pdist
    points = _check(points, 'points', 2)
    if len(points) > limit:
        order = np.argsort(np.einsum('nd,nd->n', points, points), kind='stable')
        points = points[order[np.linspace(0, len(points) - 1, limit).round().astype(int)]]
    distances = pdist(points)
    return float(np.median(distances) or distances.mean() or 1.)


class RunningMMD:
    r"""Squared maximum mean discrepancy that grows with the second set.

    The unbiased estimate, equation 3 of `A Kernel Two-Sample Test` (Gretton et
    al., JMLR 2012), with the kernel
    :math:`k(x, y) = \exp(-\|x - y\|^2 / (2 \sigma^2))`:

    .. math:: \frac{1}{m (m-1)} \sum_{i \ne j} k(x_i, x_j)
        + \frac{1}{n (n-1)} \sum_{i \ne j} k(y_i, y_j)
        - \frac{2}{m n} \sum_{i, j} k(x_i, y_j)

    It may be a little below 0. Time grows with the product of the sizes,
    memory with their sum.

    Args:
        real: (M, D) features of the first set, at least two.
        bandwidth: :math:`\sigma`; :func:`median_distance` of ``real`` if None.
        block: Rows that are compared at a time.

    Raises:
        ValueError: If features are not finite or too few, or the bandwidth is not above 0.
    """

    def __init__(self, real: np.ndarray, bandwidth: Optional[float] = None,
                 block: int = BLOCK) -> None:
        real = _check(real, 'real features', 2)
        self.bandwidth = check_number(
            'the bandwidth', median_distance(real) if bandwidth is None else bandwidth, above=0)
        self.block = block
        self.center = real.mean(0)
        self.real = real - self.center
        self.added: List[np.ndarray] = []
        self.num = 0
        self._real_sum = self._inner(self.real)
        self._cross = self._own = 0.

    def add(self, features: np.ndarray) -> None:
        """Add (B, D) features to the second set; ValueError for others, or not finite ones."""
        new = _check(features, 'features', 0, self.real.shape[1]) - self.center
        self._cross += self._sum(new, self.real)
        self._own += self._inner(new) + 2 * sum(self._sum(new, old) for old in self.added)
        self.added.append(new)
        self.num += len(new)

    def value(self) -> Optional[float]:
        """The estimate so far; None below two points."""
        if self.num < 2:
            return None
        m, n = len(self.real), self.num
        return self._real_sum / (m * (m - 1)) + self._own / (n * (n - 1)) - (
            2 * self._cross / (m * n))

    def _sum(self, a: np.ndarray, b: np.ndarray) -> float:
        """Sum of the kernel over all pairs."""
        from sklearn.metrics.pairwise import rbf_kernel
        return math.fsum(rbf_kernel(x, y, 1 / (2 * self.bandwidth**2)).sum()
                         for x, y in product(self._parts(a), self._parts(b)))

    def _inner(self, a: np.ndarray) -> float:
        """Sum of the kernel, which is 1 for a point and itself, over pairs of different points."""
        parts = self._parts(a)
        return math.fsum([*(self._sum(x, x) - len(x) for x in parts),
                          *(2 * self._sum(x, y) for x, y in combinations(parts, 2))])

    def _parts(self, points: np.ndarray) -> List[np.ndarray]:
        return [points[i:i + self.block] for i in range(0, len(points), self.block)]


def mmd_linear(real: np.ndarray, fake: np.ndarray) -> float:
    """Maximum mean discrepancy with the linear kernel: the distance of the two mean features.

    Of features (M, D) and (N, D), one of each at least. It is not squared, and in the units of
    the features. Distribution matching (Zhao and Bilen, WACV 2023) minimises it. ValueError where
    features are missing, not finite, or of other widths.
    """
    real = _check(real, 'real features', 1)
    fake = _check(fake, 'distilled features', 1, real.shape[1])
    return float(np.linalg.norm(real.mean(0) - fake.mean(0)))


def coverage_density(real: np.ndarray, fake: np.ndarray, k: int = 5) -> Tuple[float, float]:
    """Coverage and density (Naeem et al., ICML 2020, equations 3 and 4).

    Around every real point there is a ball that reaches to its k-th nearest
    real neighbour. Points on the surface count as inside.

    Args:
        real: (M, D), more than ``k``.
        fake: (N, D), at least one.
        k: Which neighbour; the paper takes 5.

    Returns:
        tuple: Coverage, the share of balls that hold a point of ``fake``, in
        [0, 1]; density, how many balls a point of ``fake`` lies in, divided by
        ``k``: 1 where both sets have the same distribution.

    Raises:
        ValueError: If there are too few points or features are not finite.
    """
    from sklearn.metrics import pairwise_distances_chunked
    from sklearn.neighbors import NearestNeighbors
    check_number('coverage: k', k, low=1, integer=True)
    real = _check(real, 'real features', k + 1)
    fake = _check(fake, 'distilled features', 1, real.shape[1])
    center = real.mean(0)
    real, fake = real - center, fake - center
    # What float64 loses where two large squares cancel, and fp32 features differ by.
    floor = 1e-12 * np.einsum('nd,nd->n', real, real).max()
    reach = NearestNeighbors(n_neighbors=k).fit(real).kneighbors()[0][:, -1]**2
    reach = reach * (1 + SLACK) + floor
    inside = np.concatenate(list(pairwise_distances_chunked(
        real, fake, squared=True, working_memory=32, reduce_func=lambda part, start: (
            part <= reach[start:start + len(part), None]).sum(1))))
    return float((inside > 0).mean()), float(inside.sum() / (k * len(fake)))


def score_statistics(scores: Sequence[Optional[float]], labels: Sequence[np.ndarray],
                     classes: Sequence[str],
                     threshold: Optional[float] = None) -> Optional[Dict[str, Any]]:
    """Figures of the scores that a proxy gave; None without any.

    Args:
        scores: Score of each image; None where nothing scored it.
        labels: Class indices of each image; an image counts once for each class.
        classes: Class names by index.
        threshold: That of the refiner, for the share that reaches it.

    Returns:
        dict: ``count``, ``mean``, ``std`` (of the population), ``quartiles`` (three),
        ``class_means`` by class name, and with a ``threshold`` ``share_passed``.
    """
    known = [(float(score), set(np.asarray(own).tolist()))
             for score, own in zip(scores, labels) if score is not None]
    if not known:
        return None
    values = np.array([score for score, _ in known])
    means = {name: [score for score, own in known if index in own]
             for index, name in enumerate(classes)}
    figures = dict(
        count=len(values), mean=float(values.mean()), std=float(values.std()),
        quartiles=np.quantile(values, (0.25, 0.5, 0.75)).tolist(),
        class_means={name: float(np.mean(own)) for name, own in means.items() if own})
    if threshold is not None:
        # Scores are fp32 numbers: 0.9 as fp32 is less than 0.9 as a double.
        passed = values.astype(np.float32) >= np.float32(threshold)
        figures.update(threshold=threshold, share_passed=float(passed.mean()))
    return figures


def feature_metrics(real: np.ndarray, fake: np.ndarray, k: int = 5) -> Dict[str, Any]:
    """All figures of two sets of features, (M, D) and (N, D), whatever their sizes.

    ``mmd2``, ``bandwidth``, ``mmd_linear``, ``coverage``, ``density`` and ``k`` of
    :func:`coverage_density`, which is M - 1 where M is not above it; None for what needs more
    points. ValueError where features are not finite.
    """
    found: Dict[str, Any] = dict.fromkeys(
        ('mmd2', 'bandwidth', 'mmd_linear', 'coverage', 'density', 'k'))
    if len(real) >= 2 and len(fake) >= 1:
        running = RunningMMD(real)
        running.add(fake)
        k = min(k, len(real) - 1)
        coverage, density = coverage_density(real, fake, k)
        found.update(mmd2=running.value(), bandwidth=running.bandwidth,
                     mmd_linear=mmd_linear(real, fake), coverage=coverage, density=density, k=k)
    return found


def _check(points: np.ndarray, name: str, least: int, dim: Optional[int] = None) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < least or (dim is not None and points.shape[1] != dim):
        wanted = 'D' if dim is None else dim
        raise ValueError(f'{name}: expected at least {least} rows of shape (N, {wanted}), got '
                         f'{points.shape}')
    if not np.isfinite(points).all():
        raise ValueError(f'{name} hold NaN or infinity: check the weights of the extractor')
    return points
