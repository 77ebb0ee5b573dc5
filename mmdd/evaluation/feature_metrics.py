"""How near a distilled set is to the real one: distances of two sets of features."""
import math
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

# Side of the blocks in which matrices of distances are made: 32 MiB of float64.
BLOCK = 2048
# A point this near to the surface of a ball counts as inside: features of one image differ
# by as much between batches, and a chosen real image lies on surfaces of its neighbours.
SLACK = 1e-5


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (A, B) of rows (A, D) and (B, D), float64."""
    squares = np.einsum('nd,nd->n', a, a)[:, None] + np.einsum('nd,nd->n', b, b)[None]
    return np.maximum(squares - 2 * (a @ b.T), 0)


def median_distance(points: np.ndarray, limit: int = 2000) -> float:
    """The median heuristic for the bandwidth of a kernel.

    Args:
        points: (N, D), at least two.
        limit: Of more points than this, as many are taken, evenly spaced by their
            norm: what comes out does not depend on their order.

    Returns:
        float: Median distance of two different points; the mean where that is 0
        and 1 where all points are equal.
    """
    points = _check(points, 'points', 2)
    if len(points) > limit:
        order = np.argsort(np.einsum('nd,nd->n', points, points), kind='stable')
        points = points[order[np.linspace(0, len(points) - 1, limit).round().astype(int)]]
    points = points - points.mean(0)
    distances = np.sqrt(squared_distances(points, points)[np.triu_indices(len(points), 1)])
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
        self.bandwidth = median_distance(real) if bandwidth is None else bandwidth
        if not self.bandwidth > 0:
            raise ValueError(f'the bandwidth must be above 0, got {self.bandwidth}')
        self.block = block
        self.center = real.mean(0)
        self.real = real - self.center
        self.added: List[np.ndarray] = []
        self.num = 0
        self._real_sum = self._inner(self.real)
        self._cross = self._own = 0.

    def add(self, features: np.ndarray) -> None:
        """Add (B, D) features to the second set."""
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
        return math.fsum(
            np.exp(squared_distances(x, y) / (-2 * self.bandwidth**2)).sum()
            for x in _parts(a, self.block) for y in _parts(b, self.block))

    def _inner(self, a: np.ndarray) -> float:
        """Sum of the kernel over pairs of different points."""
        total = 0.
        for i, x in enumerate(_parts(a, self.block)):
            kernel = np.exp(squared_distances(x, x) / (-2 * self.bandwidth**2))
            np.fill_diagonal(kernel, 0)
            total += kernel.sum() + 2 * self._sum(x, a[(i + 1) * self.block:])
        return total


def mmd2(real: np.ndarray, fake: np.ndarray, bandwidth: Optional[float] = None,
         block: int = BLOCK) -> float:
    """Unbiased squared maximum mean discrepancy, see :class:`RunningMMD`.

    Args:
        real: (M, D), at least two.
        fake: (N, D), at least two.
        bandwidth: Of the kernel; :func:`median_distance` of ``real`` if None.
        block: Rows that are compared at a time.
    """
    running = RunningMMD(real, bandwidth, block)
    running.add(_check(fake, 'distilled features', 2))
    value = running.value()
    assert value is not None, 'there are at least two images'
    return value


def mmd_linear(real: np.ndarray, fake: np.ndarray) -> float:
    """Maximum mean discrepancy with the linear kernel: the distance of the two mean features.

    It is not squared, and in the units of the features. Distribution matching (Zhao and Bilen,
    WACV 2023) minimises it.

    Args:
        real: (M, D), at least one.
        fake: (N, D), at least one.
    """
    real = _check(real, 'real features', 1)
    fake = _check(fake, 'distilled features', 1, real.shape[1])
    return float(np.linalg.norm(real.mean(0) - fake.mean(0)))


def coverage_density(real: np.ndarray, fake: np.ndarray, k: int = 5,
                     block: int = BLOCK) -> Tuple[float, float]:
    """Coverage and density (Naeem et al., ICML 2020, equations 3 and 4).

    Around every real point there is a ball that reaches to its k-th nearest
    real neighbour. Points on the surface count as inside.

    Args:
        real: (M, D), more than ``k``.
        fake: (N, D), at least one.
        k: Which neighbour; the paper takes 5.
        block: Rows that are compared at a time.

    Returns:
        tuple: Coverage, the share of balls that hold a point of ``fake``, in
        [0, 1]; density, how many balls a point of ``fake`` lies in, divided by
        ``k``: 1 where both sets have the same distribution.

    Raises:
        ValueError: If there are too few points or features are not finite.
    """
    if k < 1:
        raise ValueError(f'coverage: k must be at least 1, got {k}')
    real = _check(real, 'real features', k + 1)
    fake = _check(fake, 'distilled features', 1, real.shape[1])
    center = real.mean(0)
    real, fake = real - center, fake - center
    # What float64 loses where two large squares cancel, and fp32 features differ by.
    floor = 1e-12 * np.einsum('nd,nd->n', real, real).max()
    covered = inside = 0
    rows = max(1, block * block // max(len(real), len(fake)))
    for begin in range(0, len(real), rows):
        own = real[begin:begin + rows]
        distances = squared_distances(own, real)
        distances[np.arange(len(own)), begin + np.arange(len(own))] = np.inf
        reach = np.partition(distances, k - 1, axis=1)[:, k - 1] * (1 + SLACK) + floor
        hits = squared_distances(own, fake) <= reach[:, None]
        covered += int(hits.any(1).sum())
        inside += int(hits.sum())
    return covered / len(real), inside / (k * len(fake))


def score_statistics(scores: Sequence[Optional[float]], labels: Sequence[np.ndarray],
                     classes: Sequence[str],
                     threshold: Optional[float] = None) -> Optional[Dict[str, Any]]:
    """Figures of the scores that a proxy gave.

    Args:
        scores: Score of each image; None where nothing scored it.
        labels: Class indices of each image; an image counts once for each class.
        classes: Class names by index.
        threshold: That of the refiner, for the share that reaches it.

    Returns:
        dict: ``count``, ``mean``, ``std`` (of the population), ``quartiles`` (three
        numbers), ``share_passed`` with ``threshold``, and ``class_means`` by
        class name; None without any score.
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
    """All figures of two sets of features, whatever their sizes.

    Args:
        real: (M, D).
        fake: (N, D).
        k: See :func:`coverage_density`; less where M is not above it.

    Returns:
        dict: ``mmd2``, ``bandwidth``, ``mmd_linear``, ``coverage``, ``density`` and ``k``;
        None for what needs more points.
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


def _parts(points: np.ndarray, block: int) -> Iterator[np.ndarray]:
    return (points[i:i + block] for i in range(0, len(points), block))


def _check(points: np.ndarray, name: str, least: int, dim: Optional[int] = None) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < least or (dim is not None and points.shape[1] != dim):
        wanted = 'D' if dim is None else dim
        raise ValueError(f'{name}: expected at least {least} rows of shape (N, {wanted}), got '
                         f'{points.shape}')
    if not np.isfinite(points).all():
        raise ValueError(f'{name} hold NaN or infinity: check the weights of the extractor')
    return points
