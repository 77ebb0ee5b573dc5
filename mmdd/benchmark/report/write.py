"""The files of a benchmark: results.json, results.md, plots and report.html."""
import os.path as osp
from typing import Optional

from mmdd.utils.io import atomic_write_text
from mmdd.utils.table import markdown_list, markdown_text
from ..results import GroupResult, Results
from .group_plots import draw_group
from .html import render
from .notes import notes, verdicts
from .set_tables import cost_table, score_table
from .student_tables import OVERVIEW_NOTE, SPREAD_NOTE, compact, overview_table, student_tables


def write_benchmark(results: Results, work_dir: str, embedding: Optional[str] = 'tsne') -> None:
    """Print the tables and write all files; ``embedding`` is 'tsne', 'umap' or None."""
    results.write(osp.join(work_dir, 'results.json'))
    atomic_write_text(osp.join(work_dir, 'results.md'), markdown(results))
    for group in results.groups:
        print_group(group)
    drawn = {group.name: draw_group(group, work_dir, embedding) for group in results.groups}
    path = osp.join(work_dir, 'report.html')
    atomic_write_text(path, render(results, drawn))
    print(f'report: {path} ({osp.getsize(path) / 2**20:.1f} MiB)', flush=True)


def print_group(group: GroupResult) -> None:
    """Print the tables of a group, as far as they fit a terminal."""
    overview = overview_table(group)
    if overview:
        compact(overview).print(f'{group.name}, all students')
    for student in group.students:
        heading = group.name + (f', {student.title}' if len(group.students) > 1 else '')
        for table, title, note in student_tables(group, student):
            if note != SPREAD_NOTE:
                compact(table).print(f'{heading}: {title}' if title else heading)


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
            for table, title, note in student_tables(group, student):
                parts += [f'**{markdown_text(title)}** ({note})'] * bool(title) + [table.markdown]
        parts += [markdown_list(own) for own in (notes(group), verdicts(group)) if own]
        for title, table in (('Scores of DD-Ranking', score_table(group)),
                             ('Cost', cost_table(group))):
            parts += [f'### {title}', table.markdown] if table.rows else []
    return '\n\n'.join(parts) + '\n'
