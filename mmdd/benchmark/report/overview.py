"""One table for all students of a group: what a method teaches each of them, and what it cost."""
from typing import Any, Dict, List, Mapping, Optional

from .set_facts import mean_facts
from .tables import Cell, Table, mean_cell, number_cell, paper_of, student_title

OVERVIEW_NOTE = ('mean ± std of the last value; the paper’s values in brackets; cost of one image '
                 'of the set')
COST_COLUMNS = ['s per image', 'peak MiB', 'denoiser passes per image']


def overview_table(group: Mapping[str, Any]) -> Optional[Table]:
    """Methods by students, last values; the paper's values in brackets, and the cost of a method.

    Args:
        group: A group of ``results.json``.

    Returns:
        Table: Per method its budget, per metric and student 'mean ± std' of the last
        value, and :func:`cost_cells`; None where there are fewer than two students.
    """
    students = group['students']
    if len(students) < 2:
        return None
    columns = ['method', 'budget'] + [
        f'{metric}: {student_title(student)}'
        for metric in group['metrics'] for student in students]
    rows = []
    for method in group['methods']:
        cells = [Cell(method['method'] + (' †' if method.get('added') else '')),
                 Cell(method['budget'])]
        cells += [value_cell(method, student, metric)
                  for metric in group['metrics'] for student in students]
        rows.append(cells + cost_cells(method))
    return Table(columns + COST_COLUMNS, rows)


def value_cell(method: Mapping[str, Any], student: Mapping[str, Any], metric: str) -> Cell:
    """The last value of a method, and the paper's in brackets."""
    row = next((row for row in student['rows'] if row['method'] == method['method']), None)
    cell = mean_cell(row['last'].get(metric), row['runs']) if row and row['runs'] else Cell('-')
    paper = mean_cell(paper_of(method, student['student']).get(metric))
    if paper.value is None:
        return cell
    return Cell(f'{cell.text} [{paper.text}]', cell.value)


def cost_cells(method: Mapping[str, Any]) -> List[Cell]:
    """Seconds of a kept image, peak memory in MiB and denoiser passes of a kept image.

    Memory is that of the GPU where there is one. What a manifest does not tell is '-'.
    """
    facts = [entry['facts'] for entry in method['sets'] if entry['facts']]
    cost: Dict[str, float] = mean_facts(facts) if facts else {}
    return [number_cell(cost.get('seconds_per_kept'), 2),
            number_cell(cost.get('gpu', cost.get('host')), 0),
            number_cell(cost.get('passes_per_kept'), 0)]
