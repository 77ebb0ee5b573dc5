"""Tables and text for the terminal and for Markdown files; names in them stay text."""
import re
from typing import List, Sequence


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is aligned left, the others right.

    Args:
        title: Line above the table.
        columns: Headings.
        rows: Cells as text, one per column.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # what stands in brackets is no style then
    table = Table(title=Text(one_line(title)), title_justify='left')
    for i, column in enumerate(columns):
        table.add_column(Text(one_line(column)), justify='right' if i else 'left')
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    Console(width=None if Console().is_terminal else 140).print(table)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown, with a line end."""
    lines: List[Sequence[str]] = [[markdown_text(cell) for cell in line]
                                  for line in (columns, *rows)]
    lines.insert(1, ['---'] + ['---:'] * (len(columns) - 1))
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def one_line(text: str) -> str:
    """A text without line breaks and control characters."""
    return ''.join(c if c.isprintable() else ' ' for c in text)


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is: no table cell, code, HTML or link begins in it."""
    text = re.sub(r'[\\|`]', r'\\\g<0>', one_line(text)).replace('](', ']\\(')
    return re.sub(r'&(?=#?\w+;)', '&amp;', text).replace('<', '&lt;').replace('>', '&gt;')
