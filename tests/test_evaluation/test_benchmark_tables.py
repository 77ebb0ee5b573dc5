"""Cells, differences to the random arm, verdicts, costs."""
import math

import pytest
import report_data

from mmdd.evaluation import benchmark_tables as tables
from mmdd.evaluation.report import summarize
from mmdd.evaluation.set_facts import mean_facts, proxy_facts, set_facts, spread


@pytest.fixture
def group(tmp_path):
    return report_data.group(tmp_path)


def test_difference_and_its_spread():
    row, other = (dict(arm=name, last=dict(m=dict(mean=mean, std=std)))
                  for name, mean, std in (('a', 7., 3.), ('b', 5., 4.)))
    assert tables.against(row, other, 'm') == dict(mean=2., std=5.)


def test_verdicts(group):
    lines = tables.verdicts(group, group['students'][0])
    assert lines == ['Prior (1 %): mAP 11.0, 30.0 below Random (41.0)',
                     'Proxy (1 %): mAP 45.0, 4.0 above Random (41.0)',
                     'UniDD (1 %): mAP 52.0, 11.0 above Random (41.0)']
    runs = [report_data.run('Random', 'r', seed, value) for seed, value in enumerate((40., 42.))]
    runs += [report_data.run('UniDD', 'u', seed, value) for seed, value in enumerate((38., 45.))]
    line, = tables.verdicts(group, report_data.student(runs))
    assert line == 'UniDD (1 %): mAP 41.5, within the spread of Random (41.0)'
    line, = tables.verdicts(group, report_data.student(runs[1:3]))
    assert line == 'UniDD (1 %): mAP 38.0, 4.0 below Random (42.0), by a single student'


def test_only_the_random_arm_of_the_budget_counts(group):
    group['arms'][-2]['budget'] = '2 %'
    table = tables.group_table(group, group['students'][0])
    column = table.columns.index('mAP − Random')
    assert [row[column].text for row in table.rows] == ['-', '−30.0', '+4.0', '-', '-']


def test_compact_columns(group):
    table = tables.compact(tables.group_table(group, group['students'][0]))
    assert table.columns == ['arm', 'images', 'mAP (last)', 'mAP (best)', 'mAP (paper)',
                             'AP50 (last)', 'AP50 (best)', 'AP50 (paper)', 'updates',
                             'sets × students']


def test_failed_students_and_arms_are_said():
    bad = dict(arm='A', set='x', seed=1, error='no', log='l')
    student = report_data.student([report_data.run('A', 'x', 0, 5.)])
    student['runs'].append(bad)
    student['rows'] = summarize(student['runs'])
    group = dict(arms=[report_data.arm('A'), report_data.arm('B')], metrics=['mAP'],
                 students=[student])
    rows = tables.group_table(group, student).rows
    assert [cell.text for cell in rows[0]][-2] == '1 × 2 (1 failed)'
    assert [cell.text for cell in rows[1]][-2] == 'failed'


def test_students_side_by_side(group):
    runs = [report_data.run('UniDD', 'u', 0, 33.)]
    group['students'].append(report_data.student(runs, 'Other'))
    group['arms'][-2]['paper']['Other'] = dict(mAP=dict(mean=44., std=None))
    table = tables.cross_table(group, 'mAP')
    assert table.columns == ['arm', 'FasterRCNN', 'Other']
    assert table.texts[3] == ['UniDD', '52.0 ± 2.8 [16.8 ± 0.5]', '33.0 [44.0]']
    assert table.texts[0] == ['Random', '41.0 ± 1.4', '-']
    group['students'].pop()
    assert tables.cross_table(group, 'mAP') is None


def test_label_robust_scores(group):
    """Closed form of DD-Ranking for one run each."""
    hard = [report_data.run('UniDD', 'u', 0, 50.), report_data.run('Full', 'full', 0, 80.)]
    soft = [report_data.run('UniDD', 'u', 0, 60.), report_data.run('Random', 'r', 0, 40.)]
    group['students'] = [report_data.student(hard), report_data.student(soft, 'soft', 'soft')]
    scores = tables.robust_scores(group)
    alpha = 0.5 * (0.6 - 0.4) - 0.5 * (0.8 - 0.5)
    expected = (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))
    assert scores['UniDD']['LRS']['mean'] == pytest.approx(expected)
    assert list(scores) == ['UniDD']
    table = tables.score_table(dict(scores=scores))
    assert table.texts == [['UniDD', '0.300 ± 0.000', '0.200 ± 0.000', f'{expected:.3f} ± 0.000']]
    group['students'].pop()
    assert tables.robust_scores(group) == {}


def test_facts_of_a_set(tmp_path):
    facts = set_facts(report_data.write_set(tmp_path / 's', score=0.5, seconds=2.))
    assert facts['score'] == dict(mean=pytest.approx(0.6), std=pytest.approx(0.1), min=0.5,
                                  max=0.7, median=0.6)
    assert (facts['images'], facts['classes'], facts['images_made']) == (3, 1, 6)
    assert facts['label_sources'] == dict(proxy=3)
    assert facts['rounds'] == pytest.approx(4 / 3)
    assert (facts['seconds_per_image'], facts['seconds_per_kept']) == (2., 4.)
    assert mean_facts([facts, dict(facts, seconds_per_kept=8., peak_memory_mib=dict(
        host=900, gpu=10))]) == dict(seconds_per_image=2., seconds_per_kept=6., host=800., gpu=10.)
    assert spread([]) is None and proxy_facts(None) is None


def test_unfinished_and_damaged_sets(tmp_path):
    with pytest.raises(FileNotFoundError, match='not finished'):
        set_facts(str(tmp_path))
    (tmp_path / 'manifest.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match='damaged'):
        set_facts(str(tmp_path))
