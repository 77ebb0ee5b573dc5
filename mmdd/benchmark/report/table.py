"""A table of a report: built column by column, then text, Markdown or HTML."""
from dataclasses import dataclass
from typing import Any, Callable, Iterable, List, Optional, Tuple, Union

from mmdd.protocols.results import MeanStd
from mmdd.utils.table import markdown_table, print_table


@dataclass
class Cell:
    """One cell: its text and, for sorting, its number."""
    text: str
    value: Optional[float] = None


# Heading of a column, and what it shows of a row's item.
Column = Tuple[str, Callable[[Any], Union[Cell, MeanStd, str, None]]]


@dataclass
class Table:
    """Columns and rows; the first column names the row."""
    columns: List[str]
    rows: List[List[Cell]]

    @classmethod
    def build(cls, items: Iterable[Any], columns: Iterable[Column]) -> 'Table':
        """A row for each item. None becomes '-', a mean its text."""
        columns = list(columns)
        return cls([title for title, _ in columns],
                   [[_cell(show(item)) for _, show in columns] for item in items])

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


def _cell(shown: Union[Cell, MeanStd, str, None]) -> Cell:
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
