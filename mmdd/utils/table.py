"""Tables and text for the terminal and for Markdown files; names in them stay text."""
import re
from dataclasses import dataclass
from typing import Callable, Iterable, List, Mapping, Optional, Sequence, Union

from .mean_std import MeanStd


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


def markdown_list(lines: Iterable[str]) -> str:
    """Lines as a list whose text stays text."""
    return '\n'.join(f'- {markdown_text(line)}' for line in lines)


@dataclass
class Cell:
    """One cell: its text and, for sorting, its number."""
    text: str
    value: Optional[float] = None


Shown = Union[Cell, MeanStd, str, None]


@dataclass
class Table:
    """Columns and rows; the first column names the row."""
    columns: List[str]
    rows: List[List[Cell]]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Shown]], optional: Sequence[str] = ()) -> 'Table':
        """A table from what each row shows by the heading of the column.

        Args:
            rows: None becomes '-', as what a row lacks, and a mean its text.
            optional: Columns that are left out where no row has a value.
        """
        rows = list(rows)
        columns = [title for title in dict.fromkeys(title for row in rows for title in row)
                   if title not in optional or any(row.get(title) is not None for row in rows)]
        return cls(columns, [[_cell(row.get(title)) for title in columns] for row in rows])

    @property
    def texts(self) -> List[List[str]]:
        """The cells' texts."""
        return [[cell.text for cell in row] for row in self.rows]

    def without(self, unwanted: Callable[[str], bool]) -> 'Table':
        """The table without the columns whose heading is unwanted."""
        keep = [i for i, title in enumerate(self.columns) if not unwanted(title)]
        return Table([self.columns[i] for i in keep],
                     [[row[i] for i in keep] for row in self.rows])

    def print(self, title: str) -> None:
        """Print it under a title."""
        print_table(title, self.columns, self.texts)

    @property
    def markdown(self) -> str:
        """It in Markdown."""
        return markdown_table(self.columns, self.texts).rstrip()


def _cell(shown: Shown) -> Cell:
    if isinstance(shown, MeanStd):
        return Cell(shown.text, shown.mean)
    return shown if isinstance(shown, Cell) else Cell('-' if shown is None else shown)


def number(value: Optional[float], digits: int = 1) -> Optional[Cell]:
    """A number with so many decimals; None for None."""
    return None if value is None else Cell(f'{value:.{digits}f}', float(value))


def signed(value: float, half: Optional[float] = None) -> Cell:
    """A difference with its sign, and half of its interval."""
    interval = '' if half is None else f' ± {half:.1f}'
    return Cell(f'{value:+.1f}{interval}'.replace('-', '−'), value)


def percent(value: float) -> Cell:
    """A share from 0 to 1 as a percentage."""
    return Cell(f'{100 * value:.1f} %', value)
