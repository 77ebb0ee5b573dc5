"""Cells, differences to the random baseline, verdicts, costs."""
import math

import pytest
import report_data

from mmdd.benchmark.dd_ranking import group_scores
from mmdd.benchmark.report.notes import notes, reading_notes, verdicts
from mmdd.benchmark.report.set_tables import score_table
from mmdd.benchmark.report.student_tables import (
    LABELS,
    budget_tables,
    compact,
    group_table,
    training_cells,
)
from mmdd.benchmark.report.write import markdown
from mmdd.benchmark.results import GroupResult
from mmdd.protocols.results import MethodRuns, Run
from mmdd.utils.table import Table


@pytest.fixture
def group(tmp_path):
    return report_data.group(tmp_path)


def test_verdicts(group):
    lines = verdicts(group)
    assert lines == ['Prior (1 %): mAP 11.0, 30.0 below Random (41.0)',
                     'Proxy (1 %): mAP 45.0, 4.0 above Random (41.0)',
                     'UniDD (1 %): mAP 52.0, 11.0 above Random (41.0)']
    runs = [report_data.run('Random', 'r', seed, value) for seed, value in enumerate((40., 42.))]
    runs += [report_data.run('UniDD', 'u', seed, value) for seed, value in enumerate((38., 45.))]
    group.students = [report_data.student(runs)]
    line, = verdicts(group)
    assert line == 'UniDD (1 %): mAP 41.5, within the spread of Random (41.0)'
    group.students = [report_data.student(runs[1:3])]
    line, = verdicts(group)
    assert line == 'UniDD (1 %): mAP 38.0, 4.0 below Random (42.0), by a single student'


def test_only_the_random_baseline_of_the_budget_counts(group):
    group.methods[-2].budget = '2 %'
    table = group_table(group, group.students[0])
    column = table.columns.index('mAP − Random')
    assert [row[column].text for row in table.rows] == ['-', '−30.0', '+4.0', '-', '-']


def test_compact_columns(group):
    table = compact(group_table(group, group.students[0]))
    assert table.columns == ['method', 'images', 'mAP (last)', 'mAP (best)', 'mAP (paper)',
                             'AP50 (last)', 'AP50 (best)', 'AP50 (paper)', 'updates',
                             'sets × students']


def test_failed_students_and_methods_are_said():
    runs = [report_data.run('A', 'x', 0, 5.), Run('A', 'x', 1, error='no', log='l')]
    student = report_data.student(runs)
    group = GroupResult('G', 'detection', ['mAP'], students=[student],
                        methods=[report_data.method('A'), report_data.method('B')])
    rows = group_table(group, student).rows
    assert [cell.text for cell in rows[0]][-2] == '1 × 2 (1 failed)'
    assert [cell.text for cell in rows[1]][-2] == 'failed'


def test_label_robust_scores(group):
    """Closed form of DD-Ranking for one run each."""
    hard = [report_data.run('UniDD', 'u', 0, 50.), report_data.run('Full', 'full', 0, 80.)]
    soft = [report_data.run('UniDD', 'u', 0, 60.), report_data.run('Random', 'r', 0, 40.)]
    group.students = [report_data.student(hard), report_data.student(soft, 'soft', 'soft')]
    group.scores = group_scores(group)
    alpha = 0.5 * (0.6 - 0.4) - 0.5 * (0.8 - 0.5)
    expected = (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))
    assert group.scores['UniDD'].values['LRS'].mean == pytest.approx(expected)
    assert list(group.scores) == ['UniDD']
    assert score_table(group).texts == [
        ['UniDD', '0.300 ± 0.000', '0.200 ± 0.000', f'{expected:.3f} ± 0.000']]
    group.students.pop()
    assert group_scores(group) == {}


def budgets_group(tmp_path):
    """Two methods at two budgets, two sets each, and the full real set."""
    folders = [report_data.write_set(tmp_path / name) for name in 'ab']
    runs, methods = [], []
    for name, budget, images, values in (('A', '2 %', 20, ((30., 34.), (40., 44.))),
                                         ('A', '1 %', 10, ((10., 14.), (16., 20.))),
                                         ('B', '1 %', 10, ((7., 9.), ()))):
        methods.append(report_data.method(f'{name}, {budget}', folders[0], budget, curve=name))
        runs += [report_data.run(f'{name}, {budget}', folder, seed, value, images)
                 for folder, own in zip(folders, values) for seed, value in enumerate(own)]
    runs.append(report_data.run('Full', 'full', 0, 70., 300))
    return GroupResult('G', 'detection', ['mAP', 'AP50'], full=True,
                       students=[report_data.student(runs)],
                       methods=methods + [report_data.method('Full', budget='all')])


def test_methods_by_budgets(tmp_path):
    """Budgets from small to large; the spread between sets: of 12 and 18, of 32 and 42."""
    group = budgets_group(tmp_path)
    table = budget_tables(group, group.students[0])['mAP']
    assert table.columns == ['method', '1 %', '2 %', 'all']
    assert table.texts == [
        ['A', '15.0 ± 4.2 (4.2)', '37.0 ± 6.2 (7.1)', '-'],
        ['B', '8.0 ± 1.4', '-', '-'],
        ['Full *', '-', '-', '70.0']]
    assert [cell.value for cell in table.rows[0][1:3]] == [15., 37.]
    assert '| A | 35.0 ± 4.2 (4.2) | 57.0 ± 6.2 (7.1) | - |' in markdown(
        report_data.results(tmp_path, group))


def test_one_budget_needs_no_table_of_budgets(group):
    assert budget_tables(group, group.students[0]) == {}


def test_methods_of_a_sweep_are_no_budgets(tmp_path):
    group = budgets_group(tmp_path)
    group.methods[0].sweep = dict(base='A', label='x', value=1)
    assert budget_tables(group, group.students[0]) == {}


def test_two_methods_of_one_name_and_budget_are_two_rows(tmp_path):
    group = budgets_group(tmp_path)
    group.methods[2].curve = 'A'
    rows = budget_tables(group, group.students[0])['mAP'].texts
    assert [row[0] for row in rows] == ['A', 'B, 1 %', 'Full *']


def test_what_was_measured_once_is_said(tmp_path):
    group = budgets_group(tmp_path)
    group.methods[0].deterministic = True
    group.repeats = ['B: 3 sets hold 1 different ones; each is trained on once']
    lines = notes(group)
    assert 'A, 2 %: no seed changes the selection: one set stands for all.' in lines
    assert 'B: 3 sets hold 1 different ones; each is trained on once.' in lines


def test_rows_say_what_the_labels_are():
    """Of classification alone; MiB is 0 where no labels are on disk."""
    runs = [Run('a', 'x', 0, images=5, updates=9, last=dict(top1=1.), regime='epoch',
                label_mib=2.5),
            Run('b', 'y', 0, images=5, updates=9, last=dict(top1=1.), regime='hard', label_mib=0.),
            Run('c', 'z', 0, error='no')]
    table = Table.of((training_cells(MethodRuns(run.method, [run])) for run in runs), LABELS)
    assert table.columns == ['images', 'updates', 'labels', 'label MiB']
    assert table.texts == [['5', '9', 'epoch', '2.50'], ['5', '9', 'hard', '0.00'], ['-'] * 4]
    assert reading_notes([MethodRuns('a', runs[:1])])[-1] == (
        'labels: epoch is a stored soft label for every augmented image of every epoch.')
    detection = training_cells(MethodRuns('d', [Run('d', 'x', 0, last=dict(AP=1.))]))
    assert Table.of([detection], LABELS).columns == ['images', 'updates']
