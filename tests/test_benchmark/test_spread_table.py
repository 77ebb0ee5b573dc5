"""Two kinds of spread and the paired test, against scipy and by hand."""
import statistics

import pytest
import report_data
from scipy import stats

from mmdd.benchmark.report.spread_table import paired_difference, spread_table, spreads


def run(folder, seed, value, method='A'):
    return dict(method=method, set=folder, seed=seed, last=dict(mAP=value))


def test_the_two_spreads():
    runs = [run('a', 0, 10.), run('a', 1, 14.), run('b', 0, 20.), run('b', 1, 22.)]
    between, within = spreads(runs, 'mAP')
    assert between == pytest.approx(statistics.stdev([12., 21.]))
    # squares 4 + 4 + 1 + 1 over 2 degrees of freedom
    assert within == pytest.approx(5**0.5)
    assert spreads(runs[:2], 'mAP') == (None, pytest.approx(8**0.5))
    assert spreads(runs[::2], 'mAP')[1] is None


def test_the_paired_interval_is_scipys():
    mine, theirs = [50., 54., 47., 58.], [44., 52., 46., 49.]
    gap, half = paired_difference([run('a', i, v) for i, v in enumerate(mine)],
                                  [run('b', i, v) for i, v in enumerate(theirs)][::-1], 'mAP')
    interval = stats.ttest_rel(mine, theirs).confidence_interval(0.95)
    assert (gap - half, gap + half) == pytest.approx((interval.low, interval.high))


def test_pairs_are_of_equal_seeds_and_means_over_sets():
    mine = [run('a', 0, 10.), run('b', 0, 20.), run('a', 1, 30.), run('b', 1, 40.),
            run('a', 7, 0.)]
    theirs = [run('r', 0, 5.), run('r', 1, 15.)]
    # 15 and 35 against 5 and 15
    assert paired_difference(mine, theirs, 'mAP')[0] == 15.
    assert paired_difference(mine, theirs[:1], 'mAP') is None


def test_the_table(tmp_path):
    """Random 40, 42; Prior 10, 12; Proxy 44, 46; UniDD 50, 54: seeds 0 and 1 of one set."""
    group = report_data.group(tmp_path)
    table = spread_table(group, group['students'][0])
    assert table.texts == [
        ['Random', '1 %', '41.0', '-', '1.4', 'Random', '-', '-'],
        ['Prior', '1 %', '11.0', '-', '1.4', 'Random', '−30.0 ± 0.0', 'no'],
        ['Proxy', '1 %', '45.0', '-', '1.4', 'Random', '+4.0 ± 0.0', 'no'],
        # gaps of 10 and 12, t of 12.7 with one degree of freedom
        ['UniDD', '1 %', '52.0', '-', '2.8', 'Random', '+11.0 ± 12.7', 'yes']]


def test_without_a_baseline_there_is_no_table(tmp_path):
    group = report_data.group(tmp_path)
    group['methods'][0]['sets'][0]['facts']['method'] = 'UniDD'
    assert not spread_table(group, group['students'][0]).rows
