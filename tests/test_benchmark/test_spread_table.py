"""The table of spreads, and the paired test against the best baseline."""
import report_data

from mmdd.benchmark.report.student_tables import spread_table


def test_the_table(tmp_path):
    """Random 40, 42; Prior 10, 12; Proxy 44, 46; UniDD 50, 54: seeds 0 and 1 of one set."""
    group = report_data.group(tmp_path)
    table = spread_table(group, group.students[0])
    assert table.texts == [
        ['Random', '1 %', '41.0', '-', '1.4', 'Random', '-', '-'],
        ['Prior', '1 %', '11.0', '-', '1.4', 'Random', '−30.0 ± 0.0', 'no'],
        ['Proxy', '1 %', '45.0', '-', '1.4', 'Random', '+4.0 ± 0.0', 'no'],
        # gaps of 10 and 12, t of 12.7 with one degree of freedom
        ['UniDD', '1 %', '52.0', '-', '2.8', 'Random', '+11.0 ± 12.7', 'yes']]


def test_without_a_baseline_there_is_no_table(tmp_path):
    group = report_data.group(tmp_path)
    group.methods[0].sets[0].facts['method'] = 'UniDD'
    assert not spread_table(group, group.students[0]).rows
