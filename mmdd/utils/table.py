"""Tables for the terminal and for Markdown files."""
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
    table = Table(title=title, title_justify='left')
    for i, column in enumerate(columns):
        table.add_column(column, justify='right' if i else 'left')
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown, with a line end."""
    lines: List[Sequence[str]] = [columns, ['---'] + ['---:'] * (len(columns) - 1), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)
