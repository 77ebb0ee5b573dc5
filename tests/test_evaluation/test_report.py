"""Means, deviations and tables."""
import json
import math

import pytest

from mmdd.evaluation import summarize, write_report
from mmdd.evaluation.report import mean_std

RUNS = [dict(arm='a', set='x', seed=seed, images=5, updates=9, seconds=seed, last=dict(AP=value),
             best=dict(AP=value + 1)) for seed, value in enumerate((2., 4., 6.))]


def test_mean_and_sample_deviation():
    values = (2., 4., 4., 4., 5., 5., 7., 9.)
    assert mean_std(values) == dict(mean=5., std=pytest.approx(math.sqrt(32 / 7)))
    assert mean_std([3.]) == dict(mean=3., std=0.)


def test_rows_are_averaged_per_arm_and_failures_counted():
    failed = dict(arm='a', set='x', seed=3, error='no', log='l')
    row, = summarize(RUNS + [failed])
    assert row == dict(arm='a', set='x', runs=3, failed=1, images=5, updates=9, seconds=1.,
                       last=dict(AP=dict(mean=4., std=2.)), best=dict(AP=dict(mean=5., std=2.)))


def test_the_files(tmp_path, capsys):
    full = [dict(run, arm='all', set='full', best=None) for run in RUNS[:1]]
    write_report(RUNS + full, str(tmp_path), 'Title')
    lines = (tmp_path / 'results.md').read_text().splitlines()
    assert lines[0] == '# Title'
    assert '| arm | images | updates | s per run | runs | AP (last) | AP (best) |' in lines
    assert '| a | 5 | 9 | 1 | 3 | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| all * | 5 | 9 | 0 | 1 | 2.0 | - |' in lines
    assert any('number of updates given for it' in line for line in lines)
    saved = json.loads((tmp_path / 'results.json').read_text())
    assert saved['runs'] == RUNS + full and saved['arms'][0]['last']['AP']['mean'] == 4.
    assert '4.0 ± 2.0' in capsys.readouterr().out
