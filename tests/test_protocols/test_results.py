"""Means, deviations, two kinds of spread, and the paired test against scipy and by hand."""
import math
import statistics

import pytest
from scipy import stats

from mmdd.protocols import MethodRuns, Run, by_method
from mmdd.protocols.results import warnings_of
from mmdd.utils.mean_std import MeanStd


def run(folder, seed, value, method='a', **more):
    return Run(method, folder, seed, last=dict(AP=value), **more)


def runs_of(values):
    """Runs of one method from lists of values by folder."""
    return MethodRuns('a', [run(folder, seed, value) for folder, own in values.items()
                            for seed, value in enumerate(own)])


def test_runs_are_averaged_per_method_and_failures_counted():
    runs = [run('x', seed, value, images=5, updates=9, seconds=seed, best=dict(AP=value + 1))
            for seed, value in enumerate((2., 4., 6.))]
    found = by_method(runs + [Run('b', 'x', 0, error='no'), Run('a', 'x', 3, error='no')])
    row = found['a']
    assert list(found) == ['a', 'b'] and (len(row.finished), row.failed, row.seconds) == (3, 1, 1.)
    assert (row.mean('AP'), row.mean('AP', 'best')) == (MeanStd(4., 2.), MeanStd(5., 2.))
    assert found['b'].mean('AP') is None and found['b'].means() == {}
    assert row.to_json() == dict(
        method='a', sets=1, runs=3, failed=1, images=5, updates=9, seconds=1., select=None,
        lr=None, regime=None, label_mib=None, last=dict(AP=dict(mean=4., std=2.)),
        best=dict(AP=dict(mean=5., std=2.)))


def test_spread_between_and_within_sets():
    row = runs_of(dict(x=(1., 3.), y=(5., 7., 9.), z=(4., )))
    assert row.mean('AP') == MeanStd.of([1., 3., 5., 7., 9., 4.]) and row.num_sets == 3
    # means 2, 7, 4
    assert row.between_sets('AP') == pytest.approx(statistics.stdev([2., 7., 4.]))
    # variances 2 (1 degree of freedom) and 4 (2), none of the single run
    assert row.within_sets('AP') == pytest.approx(math.sqrt((2 + 2 * 4) / 3))
    assert runs_of(dict(x=(1., ), y=(2., ))).within_sets('AP') is None
    assert runs_of(dict(x=(1., 3.))).between_sets('AP') is None


def test_the_paired_interval_is_scipys():
    mine, theirs = [50., 54., 47., 58.], [44., 52., 46., 49.]
    other = MethodRuns('b', runs_of(dict(b=theirs)).runs[::-1])
    gap, half = runs_of(dict(a=mine)).paired_difference(other, 'AP')
    interval = stats.ttest_rel(mine, theirs).confidence_interval(0.95)
    assert (gap - half, gap + half) == pytest.approx((interval.low, interval.high))


def test_pairs_are_of_equal_seeds_and_means_over_sets():
    mine = runs_of(dict(a=(10., 30.), b=(20., 40.)))
    mine.runs.append(run('a', 7, 0.))
    # 15 and 35 against 5 and 15
    assert mine.paired_difference(runs_of(dict(r=(5., 15.))), 'AP')[0] == 15.
    assert mine.paired_difference(runs_of(dict(r=(5., ))), 'AP') is None


@pytest.mark.parametrize('value, classes, task, warned', [
    (14.9, 10, 'classification', True), (15., 10, 'classification', True),
    (15.1, 10, 'classification', False), (14.9, 10, 'detection', False),
    (14.9, None, 'classification', False), (1.4, 100, 'classification', True)])
def test_chance_is_pointed_out(value, classes, task, warned):
    lines = warnings_of(by_method([run('x', 0, value, num_classes=classes)]), task)
    assert bool(lines) == warned
    if warned:
        assert f'near chance ({100 / classes:.1f} for {classes} classes)' in lines[0]


def test_failed_runs_are_warned_of():
    runs = [run('x', 0, 50.), Run('a', 'x', 1, error='no')]
    assert warnings_of(by_method(runs), 'detection') == ['a: 1 of 2 runs failed and are left out']
