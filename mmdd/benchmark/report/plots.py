"""Plots of a benchmark, drawn without a display and without global state."""
import io
import math
import os.path as osp
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mmdd.utils.io import atomic_write_text
from mmdd.utils.mean_std import MeanStd
from ..results import GroupResult, MethodResult, StudentResult

# Colours that stay apart for colour-blind readers, in light and in dark (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8c6bb1', '#7f7f7f')
MARKERS = 'osD^vP*X'
THEMES = dict(light=dict(ink='#1f2328', faint='#d0d7de'),
              dark=dict(ink='#e6edf3', faint='#3d444d'))


# Position, mean, standard deviation (None of single runs) and the paper's value.
Point = Tuple[float, float, Optional[float], Optional[MeanStd]]


@dataclass
class Series:
    """One line of a plot, from left to right."""
    name: str  # what the legend calls it
    x: List[float]
    y: List[float]
    std: List[float]  # zeros of single runs
    paper: List[float]  # NaN where there is none

    @classmethod
    def of(cls, name: str, points: Sequence[Point]) -> 'Series':
        """A line through points in any order."""
        points = sorted(points, key=lambda point: point[0])
        return cls(name, [float(x) for x, *_ in points], [mean for _, mean, *_ in points],
                   [std or 0. for _, _, std, _ in points],
                   [paper.mean if paper else math.nan for *_, paper in points])


def budget_series(group: GroupResult, student: StudentResult, metric: str) -> List[Series]:
    """Metric against images, one series per curve that has several budgets.

    The spread is that between the means of the sets; where there is one set, over its students.
    """
    found: Dict[str, List[Point]] = {}
    for method in _measured(group, student):
        if method.sets and not method.sweep:
            row = student.runs_of(method)
            mean, between = row.measured(metric), row.between_sets(metric)
            found.setdefault(method.curve, []).append((
                row.first.images, mean.mean, mean.std if between is None else between,
                method.paper_of(student.name, metric)))
    lines = [Series.of(name, points) for name, points in found.items()]
    return [line for line in lines if len(set(line.x)) > 1]


def sweep_series(group: GroupResult, student: StudentResult,
                 metric: str) -> Dict[str, List[Series]]:
    """Metric against a swept setting: series by the name of the setting."""
    found: Dict[str, Dict[str, List[Point]]] = {}
    for method in _measured(group, student):
        sweep, mean = method.sweep, student.runs_of(method).measured(metric)
        if sweep and isinstance(sweep['value'], (int, float)):
            found.setdefault(sweep['label'], {}).setdefault(sweep['base'], []).append(
                (sweep['value'], mean.mean, mean.std, method.paper_of(student.name, metric)))
    return {key: [Series.of(name, points) for name, points in lines.items()]
            for key, lines in found.items()}


def _measured(group: GroupResult, student: StudentResult) -> List[MethodResult]:
    return [method for method in group.methods if student.runs_of(method).finished]


def line_figure(series: Sequence[Series], xlabel: str, ylabel: str, theme: str = 'light',
                level: Optional[float] = None) -> Figure:
    """Lines with error bars; the paper's values dashed in the same colour.

    Args:
        series: What to draw.
        xlabel: Label of the horizontal axis.
        ylabel: Label of the vertical axis.
        theme: 'light' or 'dark'.
        level: Height of a dotted line, the full real set.
    """
    with themed(theme):
        figure, axes = new_figure(6.2, 3.8, ylabel=ylabel, xlabel=xlabel)
        for i, line in enumerate(series):
            colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            axes.errorbar(line.x, line.y, line.std, color=colour, marker=marker, capsize=3,
                          label=line.name)
            if np.isfinite(line.paper).any():
                axes.plot(line.x, line.paper, '--', color=colour, marker=marker,
                          markerfacecolor='none', alpha=0.7, label=f'{line.name} (paper)')
        if level is not None:
            axes.axhline(level, color=THEMES[theme]['ink'], linestyle=':', linewidth=1,
                         label='Full')
        ticks = sorted({x for line in series for x in line.x})
        if len(ticks) <= 8:
            axes.set_xticks(ticks, [f'{x:g}' for x in ticks])
        legend_below(figure, axes)
        return figure


def methods_figure(group: GroupResult, student: StudentResult, metric: str,
                   theme: str = 'light') -> Figure:
    """Every student as a dot, every method's mean as a line: how far the methods lie apart."""
    rows = [student.runs_of(method) for method in _measured(group, student)]
    with themed(theme):
        figure, axes = new_figure(6.2, 0.9 + 0.42 * len(rows), xlabel=metric)
        for i, row in enumerate(rows):
            values, mean = row.values(metric), row.measured(metric).mean
            height, colour = len(rows) - 1 - i, COLOURS[i % len(COLOURS)]
            offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0.]
            axes.plot(values, height + np.asarray(offsets), 'o', markersize=4, alpha=0.8,
                      color=colour, label=row.method)
            axes.plot([mean, mean], [height - 0.32, height + 0.32], linewidth=2.5, color=colour)
        axes.set_yticks(range(len(rows)), [row.method for row in rows[::-1]])
        axes.grid(axis='y', visible=False)
        return figure


def ablation_figure(group: GroupResult, student: StudentResult,
                    theme: str = 'light') -> Optional[Figure]:
    """Bars of the methods that add one component each; None where none is measured."""
    measured = {method.name: method for method in _measured(group, student)}
    methods = [measured[name] for name in group.ablation if name in measured]
    if not methods:
        return None
    metrics = group.metrics
    width = 0.8 / len(metrics)
    with themed(theme):
        figure, axes = new_figure(6.2, 3.6, ylabel=' / '.join(metrics))
        for k, metric in enumerate(metrics):
            x = np.arange(len(methods)) + (k - (len(metrics) - 1) / 2) * width
            means = [student.runs_of(method).measured(metric) for method in methods]
            axes.bar(x, [mean.mean for mean in means], width * 0.92,
                     yerr=[mean.std or 0. for mean in means], capsize=3,
                     color=COLOURS[k % len(COLOURS)], ecolor=THEMES[theme]['ink'], label=metric)
            papers = [method.paper_of(student.name, metric) for method in methods]
            given = [(position, paper.mean) for position, paper in zip(x, papers) if paper]
            if given:
                axes.plot(*zip(*given), 'D', markerfacecolor='none', markersize=6,
                          color=THEMES[theme]['ink'], label=f'{metric} (paper)')
        axes.set_xticks(range(len(methods)), [method.name for method in methods])
        axes.grid(axis='x', visible=False)
        legend_below(figure, axes)
        return figure


def embedding_figure(points: Mapping[str, np.ndarray], theme: str = 'light') -> Figure:
    """Features in the plane: the real set faint, distilled sets on top.

    Args:
        points: (N, 2) coordinates by set; the first is the real set.
        theme: 'light' or 'dark'.
    """
    with themed(theme):
        figure, axes = new_figure(6.2, 4.6)
        for i, (name, xy) in enumerate(points.items()):
            if i == 0:
                axes.scatter(xy[:, 0], xy[:, 1], s=6, color=THEMES[theme]['ink'], alpha=0.25,
                             linewidths=0, label=name)
            else:
                axes.scatter(xy[:, 0], xy[:, 1], s=22, marker=MARKERS[(i - 1) % len(MARKERS)],
                             color=COLOURS[(i - 1) % len(COLOURS)], alpha=0.85, linewidths=0,
                             label=name)
        axes.set_axis_off()
        legend_below(figure, axes)
        return figure


def cost_figure(group: GroupResult, theme: str = 'light') -> Optional[Figure]:
    """Seconds per kept image and peak memory of every method; None where nothing is known."""
    costs = {method.name: method.cost for method in group.methods}
    names = [name for name, cost in costs.items() if cost][::-1]
    if not names:
        return None
    kinds = [('seconds_per_kept', 'seconds per kept image'), ('host', 'peak host memory (MiB)'),
             ('gpu', 'peak GPU memory (MiB)')]
    kinds = [kind for kind in kinds if any(kind[0] in costs[name] for name in names)]
    with themed(theme):
        figure = Figure(figsize=(6.2, 0.9 + 0.34 * len(names)), layout='constrained')
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for k, ((key, label), axes) in enumerate(zip(kinds, panels)):
            axes.barh(names, [costs[name].get(key, 0.) for name in names],
                      color=COLOURS[k % len(COLOURS)])
            axes.set_xlabel(label)
            axes.locator_params(axis='x', nbins=4)
            _plain_axes(axes)
            axes.grid(axis='y', visible=False)
        return figure


@contextmanager
def themed(theme: str) -> Iterator[None]:
    """Colours and sizes of a theme for everything drawn in the block."""
    ink, faint = THEMES[theme]['ink'], THEMES[theme]['faint']
    with rc_context({
            'text.color': ink, 'axes.labelcolor': ink, 'axes.edgecolor': ink, 'xtick.color': ink,
            'ytick.color': ink, 'grid.color': faint, 'figure.facecolor': 'none',
            'axes.facecolor': 'none', 'savefig.facecolor': 'none', 'legend.frameon': False,
            'font.size': 10, 'font.family': 'DejaVu Sans', 'axes.grid': True,
            'axes.axisbelow': True, 'grid.linewidth': 0.7, 'lines.linewidth': 1.8}):
        yield


def new_figure(width: float, height: float, xlabel: str = '', ylabel: str = ''):
    """A figure in inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout='constrained')
    axes = figure.subplots()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _plain_axes(axes)
    return figure, axes


def legend_below(figure: Figure, axes) -> None:
    """The legend under the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].endswith('(paper)'))
    handles, labels = [handles[i] for i in order], [labels[i] for i in order]
    figure.legend(handles, labels, loc='outside lower center', ncols=min(4, len(labels)),
                  fontsize=9, columnspacing=1.2, handletextpad=0.5)


def _plain_axes(axes) -> None:
    axes.spines[['top', 'right']].set_visible(False)


def svg(figure: Figure) -> str:
    """A figure as SVG, the same text for the same figure."""
    stream = io.StringIO()
    with rc_context({'svg.hashsalt': 'mmdd', 'svg.fonttype': 'path'}):
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict(Date=None))
    return stream.getvalue()


def save_svg(figure: Figure, path: str) -> str:
    """Write :func:`svg` to ``path``; returns its file name."""
    text = '\n'.join(line.rstrip() for line in svg(figure).splitlines())
    atomic_write_text(path, text + '\n')
    return osp.basename(path)
