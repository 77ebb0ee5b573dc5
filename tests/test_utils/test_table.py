"""Names in tables stay text."""
import pytest

from mmdd.utils.mean_std import MeanStd
from mmdd.utils.table import (
    Table,
    markdown_list,
    markdown_table,
    markdown_text,
    number,
    print_table,
)

HOSTILE = 'a|b\n| c `d` <img src=x onerror=alert(1)> [e](javascript:f) \\ &amp;'


def test_markdown_shows_a_name_as_it_is():
    assert markdown_text(HOSTILE) == (
        'a\\|b \\| c \\`d\\` &lt;img src=x onerror=alert(1)&gt; [e]\\(javascript:f) \\\\ '
        '&amp;amp;')
    plain = 'UniDD * & more (1 %), mAP_50 [1.0] ± 2'
    assert markdown_text(plain) == plain


def test_a_name_makes_no_cell():
    lines = markdown_table(['method', HOSTILE], [[HOSTILE, '1']]).splitlines()
    assert len(lines) == 3 and lines[1] == '| --- | ---: |'
    assert all(line.replace('\\|', '').count('|') == 3 for line in lines)


@pytest.mark.parametrize('name', ['[/red]', '[bold]x', 'a\x1b[31mb\nc'])
def test_the_terminal_shows_a_name_as_it_is(capsys, name):
    print_table(name, ['method', name], [[name, '[1.0]']])
    out = capsys.readouterr().out
    shown = name.replace('\x1b', ' ').replace('\n', ' ')
    assert out.count(shown) == 3 and '[1.0]' in out and '\x1b[31m' not in out


def test_rows_by_heading():
    """Columns in the order in which they occur; what a row lacks is '-'."""
    rows = [{'a': 'x', 'b': MeanStd(1., 2.)}, {'a': 'y', 'b': None, 'c': number(3.14159)}]
    table = Table.of(rows)
    assert table.columns == ['a', 'b', 'c']
    assert table.texts == [['x', '1.0 ± 2.0', '-'], ['y', '-', '3.1']]
    assert [cell.value for cell in table.rows[0]] == [None, 1., None]
    assert Table.of(iter(rows[:1]), optional=('b', 'c')).columns == ['a', 'b']
    assert Table.of(rows[1:], optional=('b', )).columns == ['a', 'c']
    assert Table.of([]).rows == []


def test_a_list_of_names():
    assert markdown_list(['a|b', 'c']) == '- a\\|b\n- c'
