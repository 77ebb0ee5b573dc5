"""The files of a benchmark: results.json, results.md, plots and report.html."""
import os.path as osp
from typing import Any, Callable, Dict, List, Mapping, Optional

from matplotlib.figure import Figure

from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.names import slug
from mmdd.utils.table import markdown_table, markdown_text, print_table
from . import plots
from . import tables as tables
from .budget_table import BUDGET_NOTE, budget_tables
from .embedding import embed_group
from .html import write_html
from .overview import OVERVIEW_NOTE, overview_table
from .spread_table import SPREAD_NOTE, spread_table


def write_benchmark(results: Mapping[str, Any], work_dir: str,
                    embedding: Optional[str] = 'tsne', report: bool = True) -> None:
    """Write what is known so far.

    Args:
        results: What a benchmark found.
        work_dir: Where the files go.
        embedding: 'tsne', 'umap' or None.
        report: Whether to print tables, draw plots and write ``report.html`` too.
    """
    atomic_write_json(osp.join(work_dir, 'results.json'), results)
    atomic_write_text(osp.join(work_dir, 'results.md'), markdown(results))
    if not report:
        return
    for group in results['groups']:
        table = overview_table(group)
        if table:
            table = tables.compact(table)
            print_table(f'{group["name"]}, all students', table.columns, table.texts)
        for student in group['students']:
            for metric, table in budget_tables(group, student).items():
                print_table(f'{_heading(group, student)}: {metric} by budget', table.columns,
                            table.texts)
            table = tables.compact(tables.group_table(group, student))
            print_table(_heading(group, student), table.columns, table.texts)
    drawn = {}
    for group in results['groups']:
        drawn[group['name']] = draw_group(group, work_dir, embedding)
    path = write_html(results, drawn, osp.join(work_dir, 'report.html'))
    print(f'report: {path} ({osp.getsize(path) / 2**20:.1f} MiB)', flush=True)


def markdown(results: Mapping[str, Any]) -> str:
    """Tables and notes of all groups."""
    parts = [f'# {markdown_text(results["title"])}']
    for group in results['groups']:
        parts.append(f'## {markdown_text(group["name"])}')
        overview = overview_table(group)
        if overview:
            parts += [f'### All students ({OVERVIEW_NOTE})', _markdown(overview)]
        for student in group['students']:
            if overview:
                parts.append(f'### {markdown_text(tables.student_title(student))}')
            for metric, table in budget_tables(group, student).items():
                parts += [f'**{markdown_text(metric)} by budget** ({BUDGET_NOTE})',
                          _markdown(table)]
            parts.append(_markdown(tables.group_table(group, student)))
            spread = spread_table(group, student)
            if spread.rows:
                parts += [f'**Spread of {markdown_text(group["metrics"][0])}** ({SPREAD_NOTE})',
                          _markdown(spread)]
        parts.append('\n'.join(f'- {markdown_text(line)}' for line in tables.notes(group)))
        lines = [line for student in group['students'] for line in tables.verdicts(group, student)]
        if lines:
            parts.append('\n'.join(f'- {markdown_text(line)}' for line in lines))
        scores, cost = tables.score_table(group), tables.cost_table(group)
        if scores:
            parts += ['### Scores of DD-Ranking', _markdown(scores)]
        if cost.rows:
            parts += ['### Cost', _markdown(cost)]
    return '\n\n'.join(parts) + '\n'


def draw_group(group: Mapping[str, Any], work_dir: str,
               embedding: Optional[str]) -> List[Dict[str, str]]:
    """Draw the plots of a group; the light ones are kept in ``<work_dir>/plots``.

    Returns:
        list[dict]: ``kind``, ``title``, ``alt``, ``light`` and ``dark`` (SVG text).
    """
    makers: List[Dict[str, Any]] = []
    for student in group['students']:
        makers += student_plots(group, student)
    if embedding:
        points = _points(group, work_dir, embedding)
        if points:
            makers.append(dict(
                kind=embedding, title='Features of real and distilled images, as a proxy sees '
                f'them ({dict(tsne="t-SNE", umap="UMAP")[embedding]}); distances between far '
                f'groups mean little', draw=lambda theme: plots.embedding_figure(points, theme)))
    makers.append(dict(kind='cost', title='Cost of a kept image',
                       draw=lambda theme: plots.cost_figure(group, theme)))
    drawn = []
    for number, maker in enumerate(makers):
        figures = {theme: maker['draw'](theme) for theme in ('light', 'dark')}
        if figures['light'] is None:
            continue
        name = f'{slug(group["name"])}-{number}-{maker["kind"]}.svg'
        plots.save_svg(figures['light'], osp.join(work_dir, 'plots', name))
        drawn.append(dict(kind=maker['kind'], title=maker['title'], alt=maker['title'],
                          **{theme: plots.svg(figure) for theme, figure in figures.items()}))
    return drawn


def student_plots(group: Mapping[str, Any], student: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Kind, title and drawing function of every plot of one student's table."""
    found: List[Dict[str, Any]] = []
    who = f' ({tables.student_title(student)})' if len(group['students']) > 1 else ''
    full = next((row['last'] for row in student['rows'] if row['set'] == 'full' and row['runs']),
                None)

    def add(kind: str, title: str, draw: Callable[[str], Optional[Figure]]) -> None:
        found.append(dict(kind=kind, title=title + who, draw=draw))

    for metric in group['metrics']:
        level = full and full[metric]['mean']
        if plots.measured_rows(student):
            add('methods', f'{metric} (last): a dot is a student, a line the mean of a method',
                lambda theme, metric=metric: plots.methods_figure(group, student, metric, theme))
        series = plots.budget_series(group, student, metric)
        if series:
            add('budget', f'{metric} (last) against the budget; bars: the spread over sets',
                lambda theme, series=series, metric=metric, level=level: plots.line_figure(
                    series, 'images', metric, theme, level))
        for key, lines in plots.sweep_series(group, student, metric).items():
            add('sweep', f'{metric} (last) against {key}',
                lambda theme, lines=lines, key=key, metric=metric: plots.line_figure(
                    lines, key, metric, theme))
    if group['ablation']:
        add('ablation', 'What every component adds',
            lambda theme: plots.ablation_figure(group, student, theme))
    return found


def _points(group: Mapping[str, Any], work_dir: str, method: str):
    try:
        return embed_group(group, work_dir, method)
    except Exception as error:  # a map that cannot be drawn must not lose the tables
        print(f'{group["name"]}: no map of features ({type(error).__name__}: {error})',
              flush=True)
        return None


def _heading(group: Mapping[str, Any], student: Mapping[str, Any]) -> str:
    return group['name'] + (
        f', {tables.student_title(student)}' if len(group['students']) > 1 else '')


def _markdown(table: tables.Table) -> str:
    return markdown_table(table.columns, table.texts).rstrip()
