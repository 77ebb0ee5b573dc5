"""The table of all students: whose labels are which, values, costs."""
import report_data

from mmdd.benchmark.report.html import render
from mmdd.benchmark.report.student_tables import overview_table
from mmdd.benchmark.report.write import markdown
from mmdd.utils.mean_std import MeanStd


def two_students(folder, second='soft labels', loss='soft'):
    """Results with a second student of one method."""
    results = report_data.results(folder)
    group, = results.groups
    runs = [report_data.run('UniDD', 'u', 0, 33.)]
    group.students.append(report_data.student(runs, second, loss))
    group.methods[-2].paper[second] = dict(mAP=MeanStd(44.))
    return results, group


def test_titles():
    def title(name, loss):
        return report_data.student([report_data.run('A', 'a', 0, 1.)], name, loss).title

    assert title('', 'hard') == 'FasterRCNN, hard labels'
    assert title('ResNet-50', 'soft') == 'ResNet-50, soft labels'
    assert title('soft labels', 'soft') == 'soft labels'


def test_students_side_by_side(tmp_path):
    results, group = two_students(tmp_path)
    table = overview_table(group)
    assert table.columns == [
        'method', 'budget', 'mAP: FasterRCNN, hard labels', 'mAP: soft labels',
        'AP50: FasterRCNN, hard labels', 'AP50: soft labels',
        's per image', 'peak MiB', 'NFE per image']
    rows = {row[0]: row[1:] for row in table.texts}
    assert rows['UniDD'] == ['1 %', '52.0 ± 2.8 [16.8 ± 0.5]', '33.0 [44.0]', '72.0 ± 2.8',
                             '53.0', '4.00', '700', '120']
    assert rows['Random †'][1:3] == ['41.0 ± 1.4', '-']
    assert rows['Full'] == ['all', '70.0', '-', '90.0', '-', '-', '-', '-']
    assert table.rows[3][2].value == 52. and table.rows[3][5].value == 53.


def test_one_student_needs_no_overview(tmp_path):
    results, group = two_students(tmp_path)
    group.students.pop()
    assert overview_table(group) is None
    assert 'All students' not in markdown(results)


def test_counted_passes(tmp_path):
    _, group = two_students(tmp_path)
    facts = group.methods[-2].sets[0].facts
    facts['cost'] = dict(seconds_per_image=1., seconds_per_kept=1.5, denoiser_passes=300,
                         peak_memory_mib=dict(host=500, gpu=80))
    row = {row[0]: row for row in overview_table(group).texts}['UniDD']
    assert row[-3:] == ['1.50', '80', '100']
    del facts['cost']['denoiser_passes']  # a set from before they were counted
    row = {row[0]: row for row in overview_table(group).texts}['UniDD']
    assert row[-3:] == ['1.50', '80', '-']


def test_reports_say_which_labels_are_meant(tmp_path):
    results, _ = two_students(tmp_path)
    text = markdown(results)
    assert text.index('### All students') < text.index('### FasterRCNN, hard labels') < text.index(
        '### soft labels')
    lines = text.splitlines()
    assert '- FasterRCNN, hard labels: UniDD (1 %): mAP 52.0, 11.0 above Random (41.0)' in lines
    assert '- Warning: soft labels: look here' in lines
    page = render(results, {})
    assert page.index('All students on real test data') < page.index(
        'FasterRCNN, hard labels: students on real test data') < page.index(
            'soft labels: students on real test data')
    assert 'soft labels: UniDD' not in page  # no random baseline beside it
