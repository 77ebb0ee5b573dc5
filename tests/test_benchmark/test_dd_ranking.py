"""LRS and ARS: values by hand, limits, monotony, and rows of several seeds."""
import math

import numpy as np
import pytest

from mmdd.benchmark.dd_ranking import rank_set
from mmdd.evaluation.robust_scores import (
    augmentation_robust_score,
    hlr,
    ior,
    label_robust_score,
    normalized,
)
from mmdd.protocols.results import Run
from mmdd.utils.mean_std import MeanStd

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


# What `compute_metrics` of the package ddranking 0.2.0 gives for these accuracies in place of its
# trainings: LabelRobustScoreSoft (full hard, own hard, own soft, random soft, weight), then
# AugmentationRobustScore (own and random with augmentation, own and random without, weight).
PACKAGE_LRS = {
    (0.8, 0.5, 0.6, 0.4, 0.5): 0.24819153796149163,
    (0.8, 0.5, 0.6, 0.4, 0.25): 0.20063695567547996,
    (0.9, 0.3, 0.55, 0.62, 0.5): 0.14782942999904358,
}
PACKAGE_ARS = {
    (0.5, 0.4, 0.6, 0.3, 0.5): 0.3631392316503326,
    (0.5, 0.4, 0.6, 0.3, 0.2): 0.3952730181517842,
    (0.35, 0.41, 0.28, 0.22, 0.5): 0.26894142136999516,
}


def squashed(value):
    """The package's map of a score to [0, 1], written out anew."""
    return (np.exp(value) - np.exp(-1)) / (np.exp(1) - np.exp(-1))


def test_label_robust_score_equals_the_package_of_the_authors():
    for (full, hard, soft, random, w), expected in PACKAGE_LRS.items():
        recovery, improvement = full - hard, soft - random
        by_formula = squashed(w * improvement - (1 - w) * recovery)
        assert by_formula == pytest.approx(expected, rel=1e-12)
        assert label_robust_score(full, hard, soft, random, w) == pytest.approx(expected,
                                                                                rel=1e-12)
        percent = [rows({0: 100 * value}) for value in (hard, full, soft, random)]
        scores = rank_set(*percent, w=w).values
        assert scores['LRS'].mean == pytest.approx(expected, rel=1e-12)
        assert scores['HLR'].mean == pytest.approx(recovery)
        assert scores['IOR'].mean == pytest.approx(improvement)


def test_augmentation_robust_score_equals_the_package_of_the_authors():
    for (own, random, bare, bare_random, gamma), expected in PACKAGE_ARS.items():
        by_formula = squashed(gamma * (own - random) + (1 - gamma) * (bare - bare_random))
        assert by_formula == pytest.approx(expected, rel=1e-12)
        assert augmentation_robust_score(own, random, bare, bare_random,
                                         gamma) == pytest.approx(expected, rel=1e-12)
        own_runs, random_runs, bare_runs, bare_random_runs = (
            rows({0: 100 * value}) for value in (own, random, bare, bare_random))
        scores = rank_set(own_runs, set_noaug=bare_runs, random_noaug=bare_random_runs,
                          random_aug=random_runs, gamma=gamma).values
        assert scores['ARS'].mean == pytest.approx(expected, rel=1e-12)


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
    (lambda: normalized(1.5), 'at least -1 and at most 1, got 1.5'),
    (lambda: rank_set([]), 'LRS needs set_hard'),
    (lambda: rank_set(rows({0: 50}), rows({0: 50})), 'ARS needs set_hard')])
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def rows(values, folder='a', which='last'):
    return [Run('x', folder, seed, **{which: dict(mAP=value, AP50=0.)})
            for seed, value in values.items()]


def test_scores_are_paired_by_seed():
    scores = rank_set(
        rows({0: 50., 1: 40.}), rows({0: 80.}, 'full'), rows({1: 60., 0: 70.}),
        rows({0: 40., 1: 50.}, 'r'), metric='mAP')
    # The full set has one seed: its mean stands for both.
    assert [run['HLR'] for run in scores.runs] == pytest.approx([0.3, 0.4])
    assert [run['IOR'] for run in scores.runs] == pytest.approx([0.3, 0.1])
    lrs = [label_robust_score(0.8, 0.5, 0.7, 0.4), label_robust_score(0.8, 0.4, 0.6, 0.5)]
    assert scores.values['LRS'].mean == pytest.approx(sum(lrs) / 2)
    assert scores.values['LRS'].std == pytest.approx(abs(lrs[0] - lrs[1]) / math.sqrt(2))
    assert 'ARS' not in scores.values


def test_scores_are_paired_by_set():
    hard = rows({0: 50.}, 'a') + rows({0: 60.}, 'b')
    soft = rows({0: 90.}, 'b') + rows({0: 70.}, 'a')
    scores = rank_set(hard, rows({0: 80.}), soft, rows({0: 40.}, 'r'), which='last')
    assert [run['IOR'] for run in scores.runs] == pytest.approx([0.3, 0.5])


def test_augmentation_score_of_rows():
    scores = rank_set(rows({0: 50.}), set_noaug=rows({0: 60.}), random_noaug=rows({0: 30.}),
                      random_aug=rows({0: 40.}))
    assert scores.values['ARS'] == MeanStd(augmentation_robust_score(0.5, 0.4, 0.6, 0.3))
    assert list(scores.runs[0]) == ['seed', 'set', 'ARS']
    soft = rank_set(rows({0: 50.}), set_noaug=rows({0: 60.}), random_noaug=rows({0: 30.}),
                    random_aug=rows({0: 40.}), set_aug=rows({0: 70.}), gamma=0.25)
    assert soft.values['ARS'].mean == augmentation_robust_score(0.7, 0.4, 0.6, 0.3, 0.25)


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


def test_failed_runs_are_left_out():
    failed = Run('x', 'a', 1, error='no')
    scores = rank_set(rows({0: 50.}) + [failed], rows({0: 80.}), rows({0: 70.}),
                      rows({0: 40.}))
    assert len(scores.runs) == 1
    with pytest.raises(ValueError, match='all runs of set_hard failed'):
        rank_set([failed], rows({0: 80.}), rows({0: 70.}), rows({0: 40.}))
    with pytest.raises(ValueError, match="no 'best' value"):
        rank_set(*[rows({0: 50.})] * 4, which='best')
