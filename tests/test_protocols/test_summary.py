"""Means, deviations and tables."""
import json
import math

import pytest

from mmdd.protocols import summarize, write_report
from mmdd.protocols.summary import mean_std, over_sets, warnings_of

RUNS = [dict(method='a', set='x', seed=seed, images=5, updates=9, seconds=seed,
             last=dict(AP=value), best=dict(AP=value + 1))
        for seed, value in enumerate((2., 4., 6.))]


def test_mean_and_sample_deviation():
    values = (2., 4., 4., 4., 5., 5., 7., 9.)
    assert mean_std(values) == dict(mean=5., std=pytest.approx(math.sqrt(32 / 7)))
    assert mean_std([3.]) == dict(mean=3., std=0.)


def test_rows_are_averaged_per_method_and_failures_counted():
    failed = dict(method='a', set='x', seed=3, error='no', log='l')
    row, = summarize(RUNS + [failed])
    assert row == dict(method='a', set='x', runs=3, failed=1, images=5, updates=9, seconds=1.,
                       last=dict(AP=dict(mean=4., std=2.)), best=dict(AP=dict(mean=5., std=2.)))


def test_the_files(tmp_path, capsys):
    full = [dict(run, method='all', set='full', best=None) for run in RUNS[:1]]
    write_report(RUNS + full, str(tmp_path), 'Title')
    lines = (tmp_path / 'results.md').read_text().splitlines()
    assert lines[0] == '# Title'
    assert '| method | images | updates | s per run | runs | AP (last) | AP (best) |' in lines
    assert '| a | 5 | 9 | 1 | 3 | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| all * | 5 | 9 | 0 | 1 | 2.0 | - |' in lines
    assert any('number of updates given for it' in line for line in lines)
    saved = json.loads((tmp_path / 'results.json').read_text())
    assert saved['runs'] == RUNS + full and saved['methods'][0]['last']['AP']['mean'] == 4.
    assert '4.0 ± 2.0' in capsys.readouterr().out


def test_picked_learning_rates_stand_beside_the_results(tmp_path):
    """A method whose rates all failed has none."""
    runs = [dict(run, lr=0.005) for run in RUNS] + [dict(RUNS[0], method='b')]
    rows = write_report(runs, str(tmp_path), 'Title')
    assert [row.get('lr') for row in rows] == [0.005, None]
    lines = (tmp_path / 'results.md').read_text().splitlines()
    head = '| method | images | updates | s per run | runs | lr (picked) | AP (last) | AP (best) |'
    assert head in lines
    assert '| a | 5 | 9 | 1 | 3 | 0.005 | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| b | 5 | 9 | 0 | 1 | - | 2.0 | 3.0 |' in lines
    assert json.loads((tmp_path / 'results.json').read_text())['methods'][0]['lr'] == 0.005


def runs_of_sets(values):
    """Rows of one method from lists of values by folder."""
    return [dict(method='a', set=folder, seed=seed, images=5, updates=9, seconds=1., best=None,
                 last=dict(AP=value)) for folder, own in values.items()
            for seed, value in enumerate(own)]


def test_spread_between_and_within_sets():
    runs = runs_of_sets(dict(x=(1., 3.), y=(5., 7., 9.), z=(4., )))
    row, = summarize(runs)
    assert row['last']['AP'] == mean_std([1., 3., 5., 7., 9., 4.]) and row['runs'] == 6
    assert row['sets']['per_set']['y'] == dict(runs=3, last=dict(AP=dict(mean=7., std=2.)))
    # means 2, 7, 4
    assert row['sets']['between']['last']['AP'] == pytest.approx(math.sqrt(19 / 3))
    # variances 2 (1 degree of freedom) and 4 (2), none of the single run
    assert row['sets']['within']['last']['AP'] == pytest.approx(math.sqrt((2 + 2 * 4) / 3))
    assert 'best' not in row['sets']['between']
    assert over_sets(runs_of_sets(dict(x=(1., ), y=(2., ))))['within']['last']['AP'] == 0
    assert 'sets' not in summarize(runs_of_sets(dict(x=(1., 3.))))[0]


def test_the_sets_are_in_the_report(tmp_path):
    write_report(runs_of_sets(dict(x=(1., 3.), y=(5., 7.))), str(tmp_path), 'Title')
    text = (tmp_path / 'results.md').read_text()
    assert '| a | 5 | 9 | 1 | 4 on 2 sets | 4.0 ± 2.6 |' in text
    assert ('a: 2 sets; AP (last) has a std of 2.8 between the means of the sets and of 1.4 '
            'within a set.') in text
    assert 'no `best`' in text


@pytest.mark.parametrize('value, classes, task, warned', [
    (14.9, 10, 'classification', True), (15., 10, 'classification', True),
    (15.1, 10, 'classification', False), (14.9, 10, 'detection', False),
    (14.9, None, 'classification', False), (1.4, 100, 'classification', True)])
def test_chance_is_pointed_out(value, classes, task, warned):
    runs = [dict(run, num_classes=classes) for run in runs_of_sets(dict(x=(value, )))]
    lines = warnings_of(runs, task)
    assert bool(lines) == warned
    if warned:
        assert f'near chance ({100 / classes:.1f} for {classes} classes)' in lines[0]


def test_selection_on_the_test_split_is_flagged(tmp_path, capsys):
    runs = [dict(run, select='test', num_classes=10, lr=0.01) for run in RUNS]
    settings = dict(task='classification', shared=dict(optimizer='SGD lr 0.1', teacher=None),
                    methods=dict(a=dict(images=5, updates=9, batch='4')))
    write_report(runs, str(tmp_path), 'Title', settings, ['A note.'])
    text = (tmp_path / 'results.md').read_text()
    assert 'selected on the test split, as the paper does: optimistic' in text
    assert 'validation split' not in text
    assert '- optimizer: SGD lr 0.1\n- a: 5 images, 9 updates, batch size 4\n' in text
    assert '**Warning**: a: AP 4.0 is near chance' in text and 'A note.' in text
    assert 'Learning rates picked per method, not on the test split: a 0.01.' in text
    out = capsys.readouterr().out
    assert 'Warning: a: AP 4.0 is near chance' in out and 'A note.' in out
    saved = json.loads((tmp_path / 'results.json').read_text())
    assert saved['protocol'] == settings and len(saved['warnings']) == 1
    assert saved['methods'][0]['select'] == 'test' and saved['methods'][0]['lr'] == 0.01


def test_names_stay_text_in_markdown(tmp_path):
    """Neither a cell, nor code, nor HTML, nor a line of its own comes out of a name."""
    name = 'a|b\n# `c` <script>alert(1)</script>'
    shown = 'a\\|b # \\`c\\` &lt;script&gt;alert(1)&lt;/script&gt;'
    runs = [dict(run, method=name, lr=.1, num_classes=10) for run in runs_of_sets(
        dict(x=(1., 3.), y=(5., 7.)))]
    settings = dict(task='classification', shared=dict(teacher=name),
                    methods={name: dict(images=5, updates=9)})
    write_report(runs, str(tmp_path), name, settings, [name])
    text = (tmp_path / 'results.md').read_text()
    assert '<' not in text and text.startswith(f'# {shown}\n')
    assert f'| {shown} | 5 | 9 |' in text and f'\n\n{shown}: 2 sets; AP' in text
    assert f'test split: {shown} 0.1.' in text and f'**Warning**: {shown}: AP' in text
    assert f'- teacher: {shown}\n- {shown}: 5 images' in text and f'\n\n{shown}\n' in text
    assert json.loads((tmp_path / 'results.json').read_text())['methods'][0]['method'] == name
