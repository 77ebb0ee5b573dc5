"""The facts of sets as tables that people read."""
import report_data

from mmdd.benchmark.report.set_tables import class_tables, facts_table


def test_columns_have_names_and_no_class_has_one_of_its_own(tmp_path):
    table = facts_table(report_data.group(tmp_path))
    assert table.columns == [
        'method', 'seed', 'images', 'accepted', 'made', 'discarded', 'tries per image',
        'images per class', 'score', 'lowest score', 'labels by', 'MMD²', 'MMD, linear',
        'coverage', 'density']
    assert table.texts[0] == ['Random', '0', '3', '3', '6', '50.0 %', '1.33', '0 to 3',
                              '0.60 ± 0.10', '0.50', 'proxy 3', '0.2500', '4.30', '0.750', '0.500']
    assert [row[0] for row in table.texts] == list(report_data.METHODS)


def test_a_set_that_failed_has_a_row(tmp_path):
    group = report_data.group(tmp_path)
    group.methods[1].sets[0].facts = None
    table = facts_table(group)
    assert table.texts[1] == ['Prior', '0'] + ['-'] * 13


def test_class_by_class(tmp_path):
    found = class_tables(report_data.group(tmp_path))
    assert list(found) == [f'{method}, seed 0' for method in report_data.METHODS]
    table = found['Random, seed 0']
    assert table.columns == ['class', 'images', 'objects', 'mean score']
    assert table.texts == [['<i>cat', '3', '3', '0.62'], ['dog', '0', '0', '-']]
