"""Figures of matplotlib, drawn without a display and without global state."""
import io
from contextlib import contextmanager
from typing import Iterator, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from .io import atomic_path, atomic_write_text

# Colours that stay apart for colour-blind readers, in light and in dark (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8c6bb1', '#7f7f7f')
MARKERS = 'osD^vP*X'
THEMES = dict(light=dict(ink='#1f2328', faint='#d0d7de'),
              dark=dict(ink='#e6edf3', faint='#3d444d'))


@contextmanager
def themed(theme: str) -> Iterator[None]:
    """Colours and sizes of a theme, 'light' or 'dark', for everything drawn in the block."""
    ink, faint = THEMES[theme]['ink'], THEMES[theme]['faint']
    with rc_context({
            'text.color': ink, 'axes.labelcolor': ink, 'axes.edgecolor': ink, 'xtick.color': ink,
            'ytick.color': ink, 'grid.color': faint, 'figure.facecolor': 'none',
            'axes.facecolor': 'none', 'savefig.facecolor': 'none', 'legend.frameon': False,
            'font.size': 10, 'font.family': 'DejaVu Sans', 'axes.grid': True,
            'axes.axisbelow': True, 'axes.spines.top': False, 'axes.spines.right': False,
            'grid.linewidth': 0.7, 'lines.linewidth': 1.8}):
        yield


def new_figure(width: float, height: float, xlabel: str = '', ylabel: str = ''):
    """A figure in inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots(subplot_kw=dict(xlabel=xlabel, ylabel=ylabel))


def legend_below(figure: Figure, axes) -> None:
    """The legend under the axes, where it hides nothing; the paper's values come last."""
    entries = sorted(zip(*axes.get_legend_handles_labels()),
                     key=lambda entry: entry[1].endswith('(paper)'))
    figure.legend(*zip(*entries), loc='outside lower center', ncols=min(4, len(entries)),
                  fontsize=9, columnspacing=1.2, handletextpad=0.5)


def bar_panels(names: Sequence[str], panels: Mapping[str, Mapping[str, Sequence[float]]],
               size: Tuple[float, float],
               width_ratios: Optional[Sequence[float]] = None) -> Figure:
    """Horizontal bars, a row for each name from below, in panels beside each other.

    ``panels`` are by their label the lengths of bars, which are stacked, by their part; ``size``
    is width and height in inches.
    """
    figure, colours = Figure(figsize=size, layout='constrained'), iter(COLOURS)
    found = figure.subplots(1, len(panels), sharey=True, squeeze=False, width_ratios=width_ratios)
    for axes, (label, parts) in zip(found[0], panels.items()):
        left = np.zeros(len(names))
        for part, lengths in parts.items():
            axes.barh(names, lengths, left=left, color=next(colours), label=part)
            left = left + lengths
        axes.set_xlabel(label)
        axes.locator_params(axis='x', nbins=4)
        axes.grid(axis='y', visible=False)
    return figure


def svg(figure: Figure) -> str:
    """A figure as SVG, the same text for the same figure."""
    stream = io.StringIO()
    with rc_context({'svg.hashsalt': 'mmdd', 'svg.fonttype': 'path'}):
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict(Date=None))
    return '\n'.join(line.rstrip() for line in stream.getvalue().splitlines()) + '\n'


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as SVG, PNG or PDF by the suffix of ``path``."""
    if path.endswith('.svg'):
        atomic_write_text(path, svg(figure))
        return
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=150, facecolor='white')
