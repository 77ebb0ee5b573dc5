"""results.json: what is written is read again; files of another form are refused in a line."""
import json
import math

import pytest
import report_data

from mmdd.benchmark.report.write import markdown
from mmdd.benchmark.results import Results
from mmdd.utils.mean_std import MeanStd


def test_what_is_written_is_read_again(tmp_path):
    results = report_data.results(tmp_path)
    results.write(str(tmp_path / 'results.json'))
    again = Results.read(str(tmp_path / 'results.json'))
    assert again == results
    group, = again.groups
    assert group.methods[3].paper == {'': dict(mAP=MeanStd(16.8, 0.5))}
    assert group.students[0].runs_of(group.methods[3]).mean('mAP') == MeanStd(52., 8**0.5)


def test_a_metric_that_was_not_finite(tmp_path):
    results = report_data.results(tmp_path)
    results.groups[0].students[0].runs[0].last['mAP'] = math.nan
    results.write(str(tmp_path / 'results.json'))
    again = Results.read(str(tmp_path / 'results.json'))
    assert math.isnan(again.groups[0].students[0].runs[0].last['mAP'])
    assert '| Random † | 1 % | 3 | nan ± nan | 42.0 ± 1.4 |' in markdown(again)


def test_who_is_random_and_who_a_baseline(tmp_path):
    group = report_data.group(tmp_path)
    assert [method.is_random for method in group.methods] == [True] + [False] * 4
    assert [method.is_baseline for method in group.methods] == [True] + [False] * 4
    group.methods[2].sets[0].facts['method'] = 'mmdd.HerdingCoreset'
    assert group.methods[2].is_baseline and not group.methods[2].is_random
    assert [method.full for method in group.methods] == [False] * 4 + [True]


def change(path, value):
    """A change of the file: a value at a path of keys, or its removal."""
    def apply(content):
        *parents, last = path
        for key in parents:
            content = content[key]
        if value is None:
            del content[last]
        else:
            content[last] = value
    return apply


RUN = ('groups', 0, 'students', 0, 'runs', 0)


@pytest.mark.parametrize('wrong, words', [
    (change(('version', ), 1), 'another version of mmdd; run its benchmark again'),
    (change(('version', ), None), 'another version of mmdd'),
    (change((*RUN, 'seed'), 'one'), r"groups\[0\]\.students\[0\]\.runs\[0\]\.seed must be a whole "
                                    "number, got 'one'"),
    (change((*RUN, 'sede'), 1), r"runs\[0\]\.sede: there is no such field.* 'seed'"),
    (change((*RUN, 'updates'), None), r'runs\[0\]: updates is missing'),
    (change((*RUN, 'last'), 5), 'last must be a dict'),
    (change(('groups', ), {}), 'groups must be a list'),
    (change(('groups', 0), 'x'), r"groups\[0\] must be a dict with name, task.* got 'x'")])
def test_files_of_another_form(tmp_path, wrong, words):
    file = tmp_path / 'results.json'
    report_data.results(tmp_path).write(str(file))
    content = json.loads(file.read_text())
    wrong(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words) as caught:
        Results.read(str(file))
    assert str(file) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['{', '[]', '{"groups": []}'])
def test_files_of_something_else(tmp_path, text):
    file = tmp_path / 'results.json'
    file.write_text(text)
    with pytest.raises(ValueError, match='is no results.json of a benchmark'):
        Results.read(str(file))
    with pytest.raises(FileNotFoundError, match='give the results.json'):
        Results.read(str(tmp_path / 'gone.json'))
