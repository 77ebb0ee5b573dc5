"""Which plots a group of a benchmark has, drawn and kept."""
import os.path as osp
from dataclasses import dataclass
from functools import partial
from typing import Callable, Dict, List, Optional

import numpy as np
from matplotlib.figure import Figure

from mmdd.utils.names import slug
from ..results import GroupResult, StudentResult
from . import plots
from .embedding import embed_group

EMBEDDINGS = dict(tsne='t-SNE', umap='UMAP')


@dataclass
class Plot:
    """A plot that can be drawn: what it shows, its caption, and its figure by theme, if any."""
    kind: str
    title: str
    draw: Callable[..., Optional[Figure]]


@dataclass
class Drawing:
    """A drawn plot: what it shows, its caption, and SVG text for each theme."""
    kind: str
    title: str
    light: str
    dark: str


def draw_group(group: GroupResult, work_dir: str, embedding: Optional[str]) -> List[Drawing]:
    """Draw the plots of a group; the light ones are kept in ``<work_dir>/plots``."""
    found = [plot for student in group.students for plot in student_plots(group, student)]
    points = _points(group, work_dir, embedding) if embedding else None
    if points:
        found.append(Plot(
            embedding, f'Features of real and distilled images, as a proxy sees them '
            f'({EMBEDDINGS[embedding]}); distances between far groups mean little',
            partial(plots.embedding_figure, points)))
    found.append(Plot('cost', 'Cost of a kept image', partial(plots.cost_figure, group)))
    drawn = []
    for number, plot in enumerate(found):
        light, dark = (plot.draw(theme=theme) for theme in ('light', 'dark'))
        if light is None:
            continue
        name = f'{slug(group.name)}-{number}-{plot.kind}.svg'
        plots.save_svg(light, osp.join(work_dir, 'plots', name))
        drawn.append(Drawing(plot.kind, plot.title, plots.svg(light), plots.svg(dark)))
    return drawn


def student_plots(group: GroupResult, student: StudentResult) -> List[Plot]:
    """The plots of one student's table."""
    full = next((row for row in student.measured.values() if row.full), None)
    found = []
    for metric in group.metrics:
        if student.measured:
            found.append(Plot(
                'methods', f'{metric} (last): a dot is a student, a line the mean of a method',
                partial(plots.methods_figure, group, student, metric)))
        series = plots.budget_series(group, student, metric)
        if series:
            found.append(Plot(
                'budget', f'{metric} (last) against the budget; bars: the spread over sets',
                partial(plots.line_figure, series, 'images', metric,
                        level=full and full.mean(metric).mean)))
        for key, lines in plots.sweep_series(group, student, metric).items():
            found.append(Plot('sweep', f'{metric} (last) against {key}',
                              partial(plots.line_figure, lines, key, metric)))
    if group.ablation:
        found.append(Plot('ablation', 'What every component adds',
                          partial(plots.ablation_figure, group, student)))
    if len(group.students) > 1:
        for plot in found:
            plot.title += f' ({student.title})'
    return found


def _points(group: GroupResult, work_dir: str, method: str) -> Optional[Dict[str, np.ndarray]]:
    try:
        return embed_group(group, work_dir, method)
    except Exception as error:  # a map that cannot be drawn must not lose the tables
        print(f'{group.name}: no map of features ({type(error).__name__}: {error})', flush=True)
        return None
