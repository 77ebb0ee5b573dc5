"""The files of a benchmark: results.json, results.md, plots and report.html."""
import os.path as osp
from typing import List, Optional, Sequence

from mmdd.utils.io import atomic_write_text
from mmdd.utils.table import markdown_text
from ..results import GroupResult, Results, StudentResult
from .group_plots import draw_group
from .html import write_html
from .notes import notes, verdicts
from .set_tables import cost_table, score_table
from .student_tables import (
    BUDGET_NOTE,
    OVERVIEW_NOTE,
    SPREAD_NOTE,
    budget_tables,
    compact,
    group_table,
    overview_table,
    spread_table,
)


def write_benchmark(results: Results, work_dir: str, embedding: Optional[str] = 'tsne',
                    report: bool = True) -> None:
    """Write what is known so far.

    Args:
        results: What a benchmark found.
        work_dir: Where the files go.
        embedding: 'tsne', 'umap' or None.
        report: Whether to print tables, draw plots and write ``report.html`` too.
    """
    results.write(osp.join(work_dir, 'results.json'))
    atomic_write_text(osp.join(work_dir, 'results.md'), markdown(results))
    if not report:
        return
    for group in results.groups:
        print_group(group)
    drawn = {group.name: draw_group(group, work_dir, embedding) for group in results.groups}
    path = write_html(results, drawn, osp.join(work_dir, 'report.html'))
    print(f'report: {path} ({osp.getsize(path) / 2**20:.1f} MiB)', flush=True)


def print_group(group: GroupResult) -> None:
    """Print the tables of a group, as far as they fit a terminal."""
    overview = overview_table(group)
    if overview:
        compact(overview).print(f'{group.name}, all students')
    for student in group.students:
        heading = group.name + (f', {student.title}' if len(group.students) > 1 else '')
        for metric, table in budget_tables(group, student).items():
            table.print(f'{heading}: {metric} by budget')
        compact(group_table(group, student)).print(heading)


def markdown(results: Results) -> str:
    """Tables and notes of all groups."""
    parts = [f'# {markdown_text(results.title)}']
    for group in results.groups:
        parts.append(f'## {markdown_text(group.name)}')
        overview = overview_table(group)
        if overview:
            parts += [f'### All students ({OVERVIEW_NOTE})', overview.markdown]
        for student in group.students:
            parts += [f'### {markdown_text(student.title)}'] * bool(overview)
            parts += _student_parts(group, student)
        parts.append(markdown_list(notes(group)))
        lines = [line for student in group.students for line in verdicts(group, student)]
        parts += [markdown_list(lines)] * bool(lines)
        scores, cost = score_table(group), cost_table(group)
        if scores:
            parts += ['### Scores of DD-Ranking', scores.markdown]
        if cost.rows:
            parts += ['### Cost', cost.markdown]
    return '\n\n'.join(parts) + '\n'


def _student_parts(group: GroupResult, student: StudentResult) -> List[str]:
    parts = []
    for metric, table in budget_tables(group, student).items():
        parts += [f'**{markdown_text(metric)} by budget** ({BUDGET_NOTE})', table.markdown]
    parts.append(group_table(group, student).markdown)
    spread = spread_table(group, student)
    if spread.rows:
        parts += [f'**Spread of {markdown_text(group.metrics[0])}** ({SPREAD_NOTE})',
                  spread.markdown]
    return parts


def markdown_list(lines: Sequence[str]) -> str:
    """Lines as a list whose text stays text."""
    return '\n'.join(f'- {markdown_text(line)}' for line in lines)
