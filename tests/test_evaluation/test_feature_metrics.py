"""MMD, coverage, density and scores against closed forms and naive loops."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdd.evaluation.feature_metrics import (
    RunningMMD,
    coverage_density,
    feature_metrics,
    median_distance,
    mmd2,
    mmd_linear,
    score_statistics,
)


def kernel(x, y, sigma):
    return math.exp(-sum((a - b)**2 for a, b in zip(x, y)) / (2 * sigma**2))


def naive_mmd2(x, y, sigma):
    """Gretton et al., equation 3, term by term."""
    m, n = len(x), len(y)
    own = sum(kernel(x[i], x[j], sigma) for i in range(m) for j in range(m) if i != j)
    other = sum(kernel(y[i], y[j], sigma) for i in range(n) for j in range(n) if i != j)
    cross = sum(kernel(a, b, sigma) for a in x for b in y)
    return own / (m * (m - 1)) + other / (n * (n - 1)) - 2 * cross / (m * n)


def sets(seed=0, m=23, n=11, dim=3, shift=0.7):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, dim)), rng.standard_normal((n, dim)) + shift


@pytest.mark.parametrize('block', [1, 4, 7, 2048])
def test_mmd_is_the_double_loop(block):
    x, y = sets()
    assert mmd2(x, y, 1.3, block) == pytest.approx(naive_mmd2(x, y, 1.3), abs=1e-12)
    # In fp32, far from the origin: nothing is lost in the squares.
    far = mmd2((x + 1000).astype(np.float32), (y + 1000).astype(np.float32), 1.3, block)
    assert far == pytest.approx(naive_mmd2(x, y, 1.3), abs=1e-4)


def test_mmd_of_two_gaussians():
    r"""E k(x, y) of N(a, I), N(b, I) is (s^2/(s^2+2))^(d/2) exp(-|a-b|^2/(2(s^2+2)))."""
    sigma, dim, shift = 2., 4, 0.5
    factor = (sigma**2 / (sigma**2 + 2))**(dim / 2)
    expected = 2 * factor * (1 - math.exp(-dim * shift**2 / (2 * (sigma**2 + 2))))
    x, y = sets(1, 3000, 3000, dim, shift)
    assert mmd2(x, y, sigma) == pytest.approx(expected, rel=0.08)
    same = [mmd2(*sets(seed, 200, 200, dim, 0.), sigma) for seed in range(30)]
    # Unbiased: no excess where both are the same.
    assert abs(np.mean(same)) < 3 * np.std(same) / 30**0.5 and min(same) < 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(2, 30), st.integers(2, 12), st.data())
def test_order_parts_and_blocks_do_not_matter(seed, m, n, data):
    x, y = sets(seed, m, n)
    sigma = median_distance(x)
    value, balls = mmd2(x, y), coverage_density(x, y, min(3, m - 1))
    rng = np.random.default_rng(seed)
    running = RunningMMD(rng.permutation(x), block=data.draw(st.integers(1, 9)))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    for part in np.split(rng.permutation(y), cuts):
        running.add(part)
    assert running.num == n and running.bandwidth == pytest.approx(sigma, abs=1e-12)
    assert running.value() == pytest.approx(value, abs=1e-12)
    assert coverage_density(rng.permutation(x), rng.permutation(y), min(3, m - 1),
                            data.draw(st.integers(1, 9))) == pytest.approx(balls, abs=1e-12)


def test_running_value_needs_two_points():
    x, y = sets()
    running = RunningMMD(x)
    assert running.value() is None
    running.add(y[:1])
    assert running.value() is None
    running.add(y[1:2])
    assert running.value() == pytest.approx(naive_mmd2(x, y[:2], running.bandwidth), abs=1e-12)


def test_median_heuristic():
    assert median_distance(np.array([[0.], [1.], [3.]])) == 2  # of 1, 2, 3
    assert median_distance(np.array([[0.], [0.], [0.], [6.]])) == 3  # median 0: the mean
    assert median_distance(np.ones((4, 2))) == 1
    x = np.random.default_rng(0).standard_normal((6000, 5))
    some = median_distance(x, limit=1000)
    assert some == median_distance(x[::-1], limit=1000)
    assert some == pytest.approx(math.sqrt(2 * 5 - 1), rel=0.05)


def test_coverage_by_hand():
    # Gaps 1, 2, 4: with k = 1 the reaches are 1, 1, 2, 4.
    real = np.array([[0.], [1.], [3.], [7.]])
    for points, covered, inside in (
            ([[0.5]], 2, 2), ([[2.5]], 1, 1), ([[-1.0]], 1, 1),  # on the surface
            ([[-1.1]], 0, 0), ([[5.5]], 1, 1), ([[5.0]], 2, 2), ([[11.0], [0.5]], 3, 3),
            ([[0.5], [0.5]], 2, 4)):
        coverage, density = coverage_density(real, np.array(points), k=1)
        assert (coverage, density) == (covered / 4, inside / len(points))
    # With k = 2 the reaches are 3, 2, 3, 6.
    assert coverage_density(real, np.array([[2.]]), k=2) == (1., 2.)


def test_chosen_real_images_lie_on_surfaces_and_duplicates_cover_themselves():
    rng = np.random.default_rng(4)
    real = rng.standard_normal((60, 6)).astype(np.float32)
    chosen = real[[3, 8]]
    distances = np.linalg.norm(real[:, None].astype(float) - real[None], axis=-1)
    order = np.argsort(distances, 1)[:, :6]  # itself and five neighbours
    expected = np.mean([bool({3, 8} & set(own.tolist())) for own in order])
    assert coverage_density(real, chosen)[0] == expected
    noisy = chosen * (1 + 1e-7 * rng.standard_normal(chosen.shape))
    assert coverage_density(real, noisy)[0] == expected
    twins = np.repeat(real[:4], 6, 0)  # every reach is 0
    assert coverage_density(twins, real[1:3])[0] == 0.5
    assert coverage_density(real, real) == (1., 60 * 6 / (5 * 60))


def test_density_of_the_same_distribution_is_one():
    x, y = sets(5, 1500, 1500, 4, 0.)
    coverage, density = coverage_density(x, y)
    assert density == pytest.approx(1, abs=0.08)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.03)  # Naeem et al., equation 9


def test_the_linear_kernel_compares_means():
    real, fake = np.array([[0., 0.], [2., 0.]]), np.array([[1., 3.], [1., 5.], [4., 4.]])
    assert mmd_linear(real, fake) == pytest.approx(np.hypot(1, 4))
    assert mmd_linear(real, fake[:1]) == 3


def test_all_figures_at_once():
    x, y = sets()
    found = feature_metrics(x, y, k=50)
    assert found['k'] == 22 and found['bandwidth'] == median_distance(x)
    assert found['mmd2'] == mmd2(x, y)
    assert found['mmd_linear'] == mmd_linear(x, y)
    assert (found['coverage'], found['density']) == coverage_density(x, y, 22)
    single = feature_metrics(x, y[:1])
    assert single['mmd2'] is None and 0 <= single['coverage'] <= 1
    assert set(feature_metrics(x[:1], y).values()) == {None}


@pytest.mark.parametrize('call, words', [
    (lambda x, y: mmd2(x[:1], y), 'real features: expected at least 2 rows'),
    (lambda x, y: mmd2(x, y[:1]), 'distilled features: expected at least 2 rows'),
    (lambda x, y: mmd2(x, y[:, :2]), r'features: expected at least 0 rows of shape \(N, 3\)'),
    (lambda x, y: mmd2(x * np.nan, y), 'hold NaN or infinity'),
    (lambda x, y: mmd2(x, y, bandwidth=0.), 'bandwidth must be above 0, got 0'),
    (lambda x, y: coverage_density(x, y, 0), 'k must be at least 1'),
    (lambda x, y: coverage_density(x, y, 23), 'expected at least 24 rows'),
    (lambda x, y: coverage_density(x, y[:0]), 'expected at least 1 rows')])
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call(*sets())


def test_score_statistics():
    scores = [0.2, 0.4, None, 0.9, float(np.float32(0.7))]
    labels = [np.array(own) for own in ([0], [0, 1, 1], [2], [1], [])]
    found = score_statistics(scores, labels, ('a', 'b', 'c'), threshold=0.7)
    assert found['count'] == 4 and found['mean'] == pytest.approx(0.55)
    assert found['std'] == pytest.approx(math.sqrt(0.29 / 4))
    assert found['quartiles'] == pytest.approx([0.35, 0.55, 0.75])
    assert found['share_passed'] == 0.5 and found['threshold'] == 0.7
    assert found['class_means'] == pytest.approx(dict(a=0.3, b=0.65))
    assert 'share_passed' not in score_statistics(scores, labels, ('a', 'b', 'c'))
    assert score_statistics([None], labels[:1], ('a', )) is None
