"""The report of an evaluation: its table, its notes, its files."""
import json

import pytest

from mmdd.benchmark.report.evaluation import write_evaluation
from mmdd.benchmark.report.notes import SELECTED, reading_notes
from mmdd.benchmark.results import StudentResult
from mmdd.protocols.results import Run, by_method, warnings_of
from mmdd.protocols.settings import MethodSettings, ProtocolSettings


def runs_of(values, method='a', **more):
    """Runs of one method from lists of values by folder."""
    return [Run(method, folder, seed, images=5, updates=9, seconds=1., last=dict(AP=value), **more)
            for folder, own in values.items() for seed, value in enumerate(own)]


def test_no_note_speaks_of_a_test_split_that_there_may_not_be(runs):
    """Data without one is measured on a validation split that was drawn from it."""
    first, *_ = reading_notes(by_method(runs).values())
    assert first == ('Mean ± sample standard deviation over all students of all sets, on the real '
                     'images that the protocol tests on.')


@pytest.fixture
def runs():
    return [Run('a', 'x', seed, images=5, updates=9, seconds=seed, last=dict(AP=value),
                best=dict(AP=value + 1)) for seed, value in enumerate((2., 4., 6.))]


@pytest.fixture
def write(tmp_path):
    """Writes a report; returns the lines of results.md and results.json."""
    def write(runs, title='Title', settings=None, notes=()):
        settings = settings or ProtocolSettings('detection')
        warned = warnings_of(by_method(runs), settings.task)
        student = StudentResult('', '', settings, runs, warned)
        write_evaluation(student, str(tmp_path), title, notes)
        return ((tmp_path / 'results.md').read_text().splitlines(),
                json.loads((tmp_path / 'results.json').read_text()))

    return write


def test_the_files(write, runs, capsys):
    full = Run('all', 'full', 0, images=5, updates=9, last=dict(AP=2.))
    lines, saved = write(runs + [full])
    assert lines[0] == '# Title'
    assert '| method | images | updates | s per run | runs | AP (last) | AP (best) |' in lines
    assert '| a | 5 | 9 | 1 | 3 | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| all * | 5 | 9 | 0 | 1 | 2.0 | - |' in lines
    assert any('number of updates that the protocol gives it' in line for line in lines)
    assert Run(**saved['runs'][3]) == full and saved['methods'][0]['last']['AP']['mean'] == 4.
    assert '4.0 ± 2.0' in capsys.readouterr().out


def test_failed_runs_and_methods(write, runs):
    failed = [Run('a', 'x', 3, error='no', log='l'), Run('b', 'x', 0, error='no', log='l')]
    lines, saved = write(runs + failed)
    assert '| a | 5 | 9 | 1 | 3 (1 failed) | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| b | - | - | - | 0 (1 failed) | - | - |' in lines
    assert '**Warning**: b: 1 of 1 runs failed and are left out' in lines
    assert [(row['runs'], row['failed']) for row in saved['methods']] == [(3, 1), (0, 1)]


def test_picked_learning_rates_stand_beside_the_results(write, runs):
    """A method whose rates all failed has none."""
    for run in runs:
        run.lr = 0.005
    other = Run('b', 'x', 0, images=5, updates=9, last=dict(AP=2.), best=dict(AP=3.))
    lines, saved = write(runs + [other])
    head = '| method | images | updates | s per run | runs | lr (picked) | AP (last) | AP (best) |'
    assert head in lines
    assert '| a | 5 | 9 | 1 | 3 | 0.005 | 4.0 ± 2.0 | 5.0 ± 2.0 |' in lines
    assert '| b | 5 | 9 | 0 | 1 | - | 2.0 | 3.0 |' in lines
    assert '- Learning rates picked per method, not on the test split: a 0.005.' in lines
    assert saved['methods'][0]['lr'] == 0.005


def test_the_sets_are_in_the_report(write):
    lines, _ = write(runs_of(dict(x=(1., 3.), y=(5., 7.))))
    assert '| a | 5 | 9 | 1 | 4 on 2 sets | 4.0 ± 2.6 |' in lines
    assert ('- a: AP (last) has a standard deviation of 2.8 between the means of its 2 sets and '
            'of 1.4 within a set.') in lines
    assert '- There is no split to select a checkpoint on: no best.' in lines


def test_selection_on_the_test_split_is_flagged(write, runs, capsys):
    for run in runs:
        run.select, run.num_classes = 'test', 10
    settings = ProtocolSettings('classification', dict(optimizer='SGD lr 0.1', teacher=None),
                                dict(a=MethodSettings(5, 9, dict(batch='4'))))
    lines, saved = write(runs, settings=settings, notes=['A note.'])
    assert f'- {SELECTED["test"]}' in lines
    assert not any('validation split' in line for line in lines)
    assert lines[-3:] == ['- task: classification', '- optimizer: SGD lr 0.1',
                          '- a: 5 images, 9 updates, batch size 4']
    out = capsys.readouterr().out
    for text in ('a: AP 4.0 is near chance', 'A note.'):
        assert text in out and any(text in line for line in lines)
    assert saved['protocol']['methods']['a']['own'] == dict(batch='4')
    assert len(saved['warnings']) == 1 and saved['methods'][0]['select'] == 'test'


def test_names_stay_text_in_markdown(write):
    """Neither a cell, nor code, nor HTML, nor a line of its own comes out of a name."""
    name = 'a|b\n# `c` <script>alert(1)</script>'
    shown = 'a\\|b # \\`c\\` &lt;script&gt;alert(1)&lt;/script&gt;'
    runs = runs_of(dict(x=(1., 3.), y=(5., 7.)), name, lr=.1, num_classes=10)
    settings = ProtocolSettings('classification', dict(teacher=name), {name: MethodSettings(5, 9)})
    lines, saved = write(runs, name, settings, [name])
    assert not any('<' in line for line in lines) and lines[0] == f'# {shown}'
    for begin in (f'| {shown} | 5 | 9 |', f'- {shown}: AP (last) has', f'- teacher: {shown}',
                  f'**Warning**: {shown}: AP', f'- {shown}: 5 images', f'- {shown}',
                  f'- Learning rates picked per method, not on the test split: {shown} 0.1.'):
        assert any(line.startswith(begin) for line in lines), begin
    assert saved['methods'][0]['method'] == name
