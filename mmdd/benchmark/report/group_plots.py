"""Which plots a group of a benchmark has, drawn and kept."""
import os.path as osp
from dataclasses import dataclass
from functools import partial
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
from matplotlib.figure import Figure

from mmdd.utils.figures import THEMES, svg, themed
from mmdd.utils.io import atomic_write_text
from mmdd.utils.names import slug
from ..results import GroupResult, StudentResult
from . import plots
from .embedding import embed_group

EMBEDDINGS = dict(tsne='t-SNE', umap='UMAP')
# What a plot shows, its caption, and what draws it, if there is anything to draw.
Plot = Tuple[str, str, Callable[[], Optional[Figure]]]


@dataclass
class Drawing:
    """A drawn plot: what it shows, its caption, its size in pixels, and SVG for each theme."""
    kind: str
    title: str
    width: int
    height: int
    light: str
    dark: str


def draw_group(group: GroupResult, work_dir: str, embedding: Optional[str]) -> List[Drawing]:
    """Draw the plots of a group; the light ones are kept in ``<work_dir>/plots``."""
    found = [plot for student in group.students for plot in student_plots(group, student)]
    points = _points(group, work_dir, embedding) if embedding else None
    if embedding and points:
        found.append((
            embedding, f'Features of real and distilled images, as a proxy sees them '
            f'({EMBEDDINGS[embedding]}); distances between far groups mean little',
            partial(plots.embedding_figure, points)))
    found.append(('cost', 'Cost of a kept image', partial(plots.cost_figure, group)))
    drawn = []
    for number, (kind, title, draw) in enumerate(found):
        figures = {}
        for theme in THEMES:
            with themed(theme):
                if (figure := draw()) is not None:
                    figures[theme] = figure
        if figures:
            width, height = (round(96 * inches) for inches in figures['light'].get_size_inches())
            one = Drawing(kind, title, width, height, **{
                theme: svg(figure) for theme, figure in figures.items()})
            name = f'{slug(group.name)}-{number}-{kind}.svg'
            atomic_write_text(osp.join(work_dir, 'plots', name), one.light)
            drawn.append(one)
    return drawn


def student_plots(group: GroupResult, student: StudentResult) -> Iterator[Plot]:
    """The plots of one student's table."""
    full = next((row for row in student.measured.values() if row.full), None)
    who = f' ({student.title})' if len(group.students) > 1 else ''
    for metric in group.metrics:
        if student.measured:
            yield ('methods',
                   f'{metric} (last): a dot is a student, a line the mean of a method{who}',
                   partial(plots.methods_figure, group, student, metric))
        series = plots.budget_series(group, student, metric)
        if series:
            yield ('budget',
                   f'{metric} (last) against the budget; bars: the spread over sets{who}',
                   partial(plots.line_figure, series, 'images', metric,
                           level=full.measured(metric).mean if full else None))
        for key, lines in plots.sweep_series(group, student, metric).items():
            yield ('sweep', f'{metric} (last) against {key}{who}',
                   partial(plots.line_figure, lines, key, metric))
    if group.ablation:
        yield ('ablation', f'What every component adds{who}',
               partial(plots.ablation_figure, group, student))


def _points(group: GroupResult, work_dir: str, method: str) -> Optional[Dict[str, np.ndarray]]:
    try:
        return embed_group(group, work_dir, method)
    except Exception as error:  # a map that cannot be drawn must not lose the tables
        print(f'{group.name}: no map of features ({type(error).__name__}: {error})', flush=True)
        return None
