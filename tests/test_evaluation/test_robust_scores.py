"""LRS and ARS: values by hand, limits, monotony."""
import math

import numpy as np
import pytest

from mmdd.evaluation.robust_scores import (
    augmentation_robust_score,
    hlr,
    ior,
    label_robust_score,
    normalized,
)

E = math.e


def test_values_by_hand():
    assert hlr(0.8, 0.5) == pytest.approx(0.3)
    assert ior(0.6, 0.4) == pytest.approx(0.2)
    # alpha = .5 * .2 - .5 * .3 = -.05
    expected = (E**-0.05 - 1 / E) / (E - 1 / E)
    assert label_robust_score(0.8, 0.5, 0.6, 0.4) == pytest.approx(expected)
    # alpha = .25 * .2 - .75 * .3 = -.175
    assert label_robust_score(0.8, 0.5, 0.6, 0.4, w=0.25) == pytest.approx(
        (E**-0.175 - 1 / E) / (E - 1 / E))
    # beta = .5 * .1 + .5 * .3 = .2
    assert augmentation_robust_score(0.5, 0.4, 0.6, 0.3) == pytest.approx(
        (E**0.2 - 1 / E) / (E - 1 / E))
    # beta = .2 * .1 + .8 * .3 = .26
    assert augmentation_robust_score(0.5, 0.4, 0.6, 0.3, gamma=0.2) == pytest.approx(
        (E**0.26 - 1 / E) / (E - 1 / E))
    # A set that is as good as random images and as the full set.
    assert label_robust_score(0.5, 0.5, 0.5, 0.5) == pytest.approx(0.2689, abs=1e-4)


def test_limits():
    """1 if and only if alpha is 1, 0 if and only if it is -1."""
    assert normalized(1) == 1 and normalized(-1) == 0
    assert normalized(1 - 1e-6) < 1 and normalized(-1 + 1e-6) > 0
    assert label_robust_score(0, 1, 1, 0) == 1  # hard labels gain 1 on the full set
    assert label_robust_score(1, 0, 0, 1) == 0
    assert augmentation_robust_score(1, 0, 1, 0) == 1
    assert augmentation_robust_score(1, 0, 1, 0.01) < 1


@pytest.mark.parametrize('score', [label_robust_score, augmentation_robust_score])
def test_monotone(score):
    signs = (-1, 1, 1, -1) if score is label_robust_score else (1, -1, 1, -1)
    base = [0.5, 0.5, 0.5, 0.5]
    for i, sign in enumerate(signs):
        values = [score(*base[:i], 0.1 * k, *base[i + 1:]) for k in range(11)]
        steps = [sign * (b - a) for a, b in zip(values, values[1:])]
        assert min(steps) > 0


@pytest.mark.parametrize('call, message', [
    (lambda: hlr(80, 0.5), 'shares from 0 to 1 here, got 80: divide percent by 100'),
    (lambda: label_robust_score(1, 1, 1, 1, w=2), 'w must be .* at least 0 and at most 1, got 2'),
    (lambda: normalized(1.5), 'at least -1 and at most 1, got 1.5')])
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def released_lrs(full_hard, syn_hard, syn_soft, random_soft, weight):
    """As ``ddranking.metrics.LabelRobustScoreSoft`` computes it of accuracies in [0, 1]."""
    hlr = 1.00 * (full_hard - syn_hard)
    ior = 1.00 * (syn_soft - random_soft)
    alpha = weight * ior - (1 - weight) * hlr
    return (np.exp(alpha) - np.exp(-1)) / (np.exp(1) - np.exp(-1))


def released_ars(syn_aug, random_aug, syn_bare, random_bare, weight):
    """As ``ddranking.metrics.AugmentationRobustScore``."""
    beta = weight * (syn_aug - random_aug) + (1 - weight) * (syn_bare - random_bare)
    return (np.exp(beta) - np.exp(-1)) / (np.exp(1) - np.exp(-1))


def test_scores_agree_with_the_released_package():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c, d, weight = rng.random(5)
        assert label_robust_score(a, b, c, d, weight) == pytest.approx(
            released_lrs(a, b, c, d, weight), rel=1e-12)
        assert augmentation_robust_score(a, b, c, d, weight) == pytest.approx(
            released_ars(a, b, c, d, weight), rel=1e-12)
