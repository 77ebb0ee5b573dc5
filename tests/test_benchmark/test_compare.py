"""What changed between two benchmarks."""
import copy
import json

import pytest
import report_data

from mmdd.benchmark.report.compare import compare_rows, compare_settings, read_results


@pytest.fixture()
def before(tmp_path):
    return json.loads(json.dumps(report_data.results(tmp_path)))


def test_a_run_beside_itself(before):
    table = compare_rows(before, before)
    assert len(table.rows) == 5 * 2  # five methods, two metrics
    assert {row[6] for row in table.texts} == {'+0.0'}
    assert {row[7] for row in table.texts} == {'no'}
    assert compare_settings(before, before) == []


def test_differences_and_their_spread(before):
    after = copy.deepcopy(before)
    rows = after['groups'][0]['students'][0]['rows']
    changes = dict(Random=3., UniDD=-3.)
    for row in rows:
        for value in row['last'].values():
            value['mean'] += changes.get(row['method'], 0.)
    texts = {tuple(row[2:4]): row[4:] for row in compare_rows(before, after).texts}
    # Random 40, 42: a std of 1.41 each, 2 together; UniDD 50, 54: 2.83 each, 4 together
    assert texts['Random', 'mAP'] == ['41.0 ± 1.4', '44.0 ± 1.4', '+3.0', 'yes']
    assert texts['UniDD', 'mAP'] == ['52.0 ± 2.8', '49.0 ± 2.8', '−3.0', 'no']
    assert texts['Proxy', 'AP50'][2:] == ['+0.0', 'no']


def test_a_method_that_one_lacks(before):
    after = copy.deepcopy(before)
    rows = after['groups'][0]['students'][0]['rows']
    after['groups'][0]['students'][0]['rows'] = [row for row in rows if row['method'] != 'Prior']
    texts = {tuple(row[2:4]): row[4:] for row in compare_rows(before, after).texts}
    assert texts['Prior', 'mAP'] == ['11.0 ± 1.4', '-', '-', '-']
    assert [row[4:] for row in compare_rows(after, before).texts if row[2] == 'Prior'][0] == [
        '-', '11.0 ± 1.4', '-', '-']


def test_what_else_differs(before):
    after = copy.deepcopy(before)
    after.update(commit='def5678')
    after['versions']['torch'] = '3'
    after['groups'][0]['students'][0]['settings']['shared']['length'] = '9 epochs'
    after['groups'][0]['methods'][3]['sets'][0]['facts']['job'] = 'another'
    assert compare_settings(before, after) == [
        'commit: abc1234+ -> def5678', 'versions, torch: 2 -> 3',
        'students of Detection & more, FasterRCNN, hard labels, length: None -> 9 epochs',
        'sets of another job: Detection & more, UniDD']


@pytest.mark.parametrize('text, words', [
    ('{', 'is no results.json of a benchmark'), ('[]', 'is no results.json'),
    ('{"groups": []}', "KeyError: 'versions'")])
def test_bad_files(tmp_path, text, words):
    file = tmp_path / 'results.json'
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_results(str(file))
    with pytest.raises(FileNotFoundError, match='give the results.json'):
        read_results(str(tmp_path / 'gone.json'))
