"""LRS and ARS of rows of several seeds, and the values of the package of the authors."""
import math

import numpy as np
import pytest

from mmdd.benchmark.dd_ranking import rank_set
from mmdd.evaluation.robust_scores import augmentation_robust_score, label_robust_score
from mmdd.protocols.results import Run
from mmdd.utils.mean_std import MeanStd

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


def rows(values, folder='a', which='last'):
    return [Run('x', folder, seed, **{which: dict(mAP=value, AP50=0.)})
            for seed, value in values.items()]


@pytest.mark.parametrize('given, message', [
    ([[]], 'LRS needs set_hard'), ([rows({0: 50}), rows({0: 50})], 'ARS needs set_hard')])
def test_runs_that_allow_no_score(given, message):
    with pytest.raises(ValueError, match=message):
        rank_set(*given)


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


def test_failed_runs_are_left_out():
    failed = Run('x', 'a', 1, error='no')
    scores = rank_set(rows({0: 50.}) + [failed], rows({0: 80.}), rows({0: 70.}),
                      rows({0: 40.}))
    assert len(scores.runs) == 1
    with pytest.raises(ValueError, match='all runs of set_hard failed'):
        rank_set([failed], rows({0: 80.}), rows({0: 70.}), rows({0: 40.}))
    with pytest.raises(ValueError, match="no 'best' value"):
        rank_set(*[rows({0: 50.})] * 4, which='best')
