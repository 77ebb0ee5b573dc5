"""Plots of a benchmark."""
import math
from dataclasses import dataclass
from operator import itemgetter
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

from mmdd.utils.figures import COLOURS, MARKERS, bar_panels, legend_below, new_figure
from mmdd.utils.grouping import grouped
from mmdd.utils.mean_std import MeanStd
from ..results import GroupResult, StudentResult


@dataclass
class Series:
    """One line of a plot, from left to right."""
    name: str  # what the legend calls it
    x: List[float]
    y: List[float]
    std: List[float]  # zeros of single runs
    paper: List[float]  # NaN where there is none


def series_of(points: Iterable[Tuple[str, float, MeanStd, Optional[MeanStd]]]) -> List[Series]:
    """The lines of points: name of the line, place on it, value and the paper's value."""
    lines = grouped(
        (name, (float(x), value.mean, value.std or 0., paper.mean if paper else math.nan))
        for name, x, value, paper in points)
    return [Series(name, *map(list, zip(*sorted(own, key=itemgetter(0)))))
            for name, own in lines.items()]


def budget_series(group: GroupResult, student: StudentResult, metric: str) -> List[Series]:
    """Metric against images, one series per curve that has several budgets.

    The spread is that between the means of the sets; where there is one set, over its students.
    """
    points = []
    for method, row in group.measured(student):
        if method.sets and not method.sweep:
            value, between = row.measured(metric), row.between_sets(metric)
            if between is not None:
                value = MeanStd(value.mean, between)
            points.append((method.curve, row.first.images, value,
                           method.paper_of(student.name, metric)))
    return [line for line in series_of(points) if len(set(line.x)) > 1]


def sweep_series(group: GroupResult, student: StudentResult,
                 metric: str) -> Dict[str, List[Series]]:
    """Metric against a swept setting: series by the name of the setting."""
    found = grouped(
        (sweep['label'], (sweep['base'], sweep['value'], row.measured(metric),
                          method.paper_of(student.name, metric)))
        for method, row in group.measured(student)
        if (sweep := method.sweep) and isinstance(sweep['value'], (int, float)))
    return {label: series_of(points) for label, points in found.items()}


def line_figure(series: Sequence[Series], xlabel: str, ylabel: str,
                level: Optional[float] = None) -> Figure:
    """Lines with error bars; the paper's values dashed in the same colour.

    The full real set is a dotted line at ``level``.
    """
    figure, axes = new_figure(6.2, 3.8, ylabel=ylabel, xlabel=xlabel)
    for i, line in enumerate(series):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        axes.errorbar(line.x, line.y, line.std, color=colour, marker=marker, capsize=3,
                      label=line.name)
        if np.isfinite(line.paper).any():
            axes.plot(line.x, line.paper, '--', color=colour, marker=marker,
                      markerfacecolor='none', alpha=0.7, label=f'{line.name} (paper)')
    if level is not None:
        axes.axhline(level, color=rcParams['text.color'], linestyle=':', linewidth=1,
                     label='Full')
    ticks = sorted({x for line in series for x in line.x})
    if len(ticks) <= 8:
        axes.set_xticks(ticks, [f'{x:g}' for x in ticks])
    legend_below(figure, axes)
    return figure


def methods_figure(group: GroupResult, student: StudentResult, metric: str) -> Figure:
    """Every student as a dot, every method's mean as a line: how far the methods lie apart."""
    rows = [row for _, row in group.measured(student)]
    figure, axes = new_figure(6.2, 0.9 + 0.42 * len(rows), xlabel=metric)
    for i, row in enumerate(rows):
        values, mean = row.values(metric), row.measured(metric).mean
        height, colour = len(rows) - 1 - i, COLOURS[i % len(COLOURS)]
        offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(values, height + offsets, 'o', markersize=4, alpha=0.8, color=colour,
                  label=row.method)
        axes.plot([mean, mean], [height - 0.32, height + 0.32], linewidth=2.5, color=colour)
    axes.set_yticks(range(len(rows)), [row.method for row in rows[::-1]])
    axes.grid(axis='y', visible=False)
    return figure


def ablation_figure(group: GroupResult, student: StudentResult) -> Optional[Figure]:
    """Bars of the methods that add one component each; None where none is measured."""
    measured = {method.name: (method, row) for method, row in group.measured(student)}
    steps = [measured[name] for name in group.ablation if name in measured]
    if not steps:
        return None
    metrics, ink = group.metrics, rcParams['text.color']
    width = 0.8 / len(metrics)
    figure, axes = new_figure(6.2, 3.6, ylabel=' / '.join(metrics))
    for k, metric in enumerate(metrics):
        x = np.arange(len(steps)) + (k - (len(metrics) - 1) / 2) * width
        means = [row.measured(metric) for _, row in steps]
        axes.bar(x, [mean.mean for mean in means], width * 0.92,
                 yerr=[mean.std or 0. for mean in means], capsize=3,
                 color=COLOURS[k % len(COLOURS)], ecolor=ink, label=metric)
        papers = [method.paper_of(student.name, metric) for method, _ in steps]
        given = [(position, paper.mean) for position, paper in zip(x, papers) if paper]
        if given:
            axes.plot(*zip(*given), 'D', markerfacecolor='none', markersize=6, color=ink,
                      label=f'{metric} (paper)')
    axes.set_xticks(range(len(steps)), [method.name for method, _ in steps])
    axes.grid(axis='x', visible=False)
    legend_below(figure, axes)
    return figure


def embedding_figure(points: Mapping[str, np.ndarray]) -> Figure:
    """Features in the plane, (N, 2) by set: the first, which is the real set, faint below."""
    figure, axes = new_figure(6.2, 4.6)
    for i, (name, xy) in enumerate(points.items()):
        look = dict(s=22, marker=MARKERS[(i - 1) % len(MARKERS)], alpha=0.85,
                    color=COLOURS[(i - 1) % len(COLOURS)]) if i else dict(
                        s=6, color=rcParams['text.color'], alpha=0.25)
        axes.scatter(xy[:, 0], xy[:, 1], linewidths=0, label=name, **look)
    axes.set_axis_off()
    legend_below(figure, axes)
    return figure


def cost_figure(group: GroupResult) -> Optional[Figure]:
    """Seconds per kept image and peak memory of every method; None where nothing is known."""
    costs = {method.name: method.cost for method in group.methods}
    names = [name for name, cost in costs.items() if cost][::-1]
    kinds = dict(seconds_per_kept='seconds per kept image', host='peak host memory (MiB)',
                 gpu='peak GPU memory (MiB)')
    panels = {label: {'': [costs[name].get(key, 0.) for name in names]}
              for key, label in kinds.items() if any(key in costs[name] for name in names)}
    return bar_panels(names, panels, (6.2, 0.9 + 0.34 * len(names))) if names else None
