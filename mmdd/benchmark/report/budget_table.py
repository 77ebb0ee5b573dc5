"""Methods by budgets: one table per metric of what a group measured."""
from typing import Any, Dict, List, Mapping, Optional

from .tables import Cell, Table, mean_cell

BUDGET_NOTE = ('mean ± std over all students of all sets, in brackets the std between the means '
               'of the sets, where there are several')
ALL = 'all'


def budget_table(group: Mapping[str, Any], student: Mapping[str, Any],
                 metric: str) -> Optional[Table]:
    """Last values of a metric, a row per method and a column per budget.

    Args:
        group: A group of ``results.json``.
        student: One of its ``students``.
        metric: One of its ``metrics``.

    Returns:
        Table: Budgets from the smallest to the largest set; where the full real set is
        measured it has a row and a column of its own. Methods of a sweep are left out, and a
        second method of one name and budget has a row of its own. None where fewer than two
        budgets are measured.
    """
    rows = {row['method']: row for row in student['rows'] if row['runs']}
    cells: Dict[str, Dict[str, Cell]] = {}
    images: Dict[str, int] = {}
    for method in group['methods']:
        row = rows.get(method['method'])
        if not row or method.get('sweep'):
            continue
        budget = method['budget'] if method['sets'] else ALL
        name = method['curve'] if method['sets'] else f'{method["curve"]} *'
        if budget in cells.get(name, {}):
            name = method['method']
        cells.setdefault(name, {})[budget] = spread_cell(row, metric)
        images[budget] = max(images.get(budget, 0), row['images'])
    budgets = sorted(images, key=lambda budget: (budget == ALL, images[budget]))
    if sum(budget != ALL for budget in budgets) < 2:
        return None
    return Table(['method'] + budgets, [
        [Cell(name)] + [found.get(budget, Cell('-')) for budget in budgets]
        for name, found in cells.items()])


def spread_cell(row: Mapping[str, Any], metric: str) -> Cell:
    """'mean ± std (std between sets)' of the last value of one row of ``summarize``."""
    cell = mean_cell(row['last'][metric], row['runs'])
    between = ((row.get('sets') or {}).get('between') or {}).get('last')
    return Cell(f'{cell.text} ({between[metric]:.1f})', cell.value) if between else cell


def budget_tables(group: Mapping[str, Any], student: Mapping[str, Any]) -> Dict[str, Table]:
    """:func:`budget_table` by metric, those that there are."""
    found: List[tuple] = [(metric, budget_table(group, student, metric))
                          for metric in group['metrics']]
    return {metric: table for metric, table in found if table is not None}
