"""What changed between two benchmarks."""
import copy

import pytest
import report_data

from mmdd.benchmark.report.compare import compare_figures, compare_settings


@pytest.fixture()
def before(tmp_path):
    return report_data.results(tmp_path)


def changed(results, change):
    """Results whose student has other runs."""
    results = copy.deepcopy(results)
    student, = results.groups[0].students
    results.groups[0].students = [report_data.student(
        [run for run in map(change, student.runs) if run])]
    return results


def test_a_run_beside_itself(before):
    table = compare_figures(before, before)
    assert len(table.rows) == 5 * 2  # five methods, two metrics
    assert {row[6] for row in table.texts} == {'+0.0'}
    assert {row[7] for row in table.texts} == {'no'}
    assert compare_settings(before, before) == []


def test_differences_and_their_spread(before):
    shifts = dict(Random=3., UniDD=-3.)

    def shift(run):
        run.last = {name: value + shifts.get(run.method, 0.) for name, value in run.last.items()}
        return run

    table = compare_figures(before, changed(before, shift))
    texts = {tuple(row[2:4]): row[4:] for row in table.texts}
    # Random 40, 42: a std of 1.41 each, 2 together; UniDD 50, 54: 2.83 each, 4 together
    assert texts['Random', 'mAP'] == ['41.0 ± 1.4', '44.0 ± 1.4', '+3.0', 'yes']
    assert texts['UniDD', 'mAP'] == ['52.0 ± 2.8', '49.0 ± 2.8', '−3.0', 'no']
    assert texts['Proxy', 'AP50'][2:] == ['+0.0', 'no']


def test_a_method_that_one_lacks(before):
    after = changed(before, lambda run: run if run.method != 'Prior' else None)
    texts = {tuple(row[2:4]): row[4:] for row in compare_figures(before, after).texts}
    assert texts['Prior', 'mAP'] == ['11.0 ± 1.4', '-', '-', '-']
    assert [row[4:] for row in compare_figures(after, before).texts if row[2] == 'Prior'][0] == [
        '-', '11.0 ± 1.4', '-', '-']


def test_what_else_differs(before):
    after = copy.deepcopy(before)
    after.commit, after.versions['torch'] = 'def5678', '3'
    after.groups[0].students[0].settings.shared['length'] = '9 epochs'
    after.groups[0].methods[3].sets[0].facts['job'] = 'another'
    assert compare_settings(before, after) == [
        'commit: abc1234+ -> def5678', 'versions, torch: 2 -> 3',
        'students of Detection & more, FasterRCNN, hard labels, length: None -> 9 epochs',
        'sets of another job: Detection & more, UniDD']
