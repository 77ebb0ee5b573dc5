"""The cost of several distilled sets side by side (UniDD, figure 5)."""
import csv
import io
import os.path as osp
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from matplotlib.figure import Figure

from mmdd.utils.io import atomic_path, atomic_write_text
from mmdd.utils.table import Column, Table
from ..set_facts import read_set_manifest, set_cost
from .plots import COLOURS, legend_below, save_svg, themed

TABLES, PICTURES = ('.md', '.csv'), ('.svg', '.png', '.pdf')


@dataclass
class Cost:
    """What making a set cost: its method, its images, and :func:`set_cost`."""
    method: str
    images: int
    cost: Dict[str, Any]


Costs = Mapping[str, Cost]


def read_costs(sets: Sequence[str]) -> Dict[str, Cost]:
    """What making sets cost.

    Args:
        sets: Folders of distilled sets, or the work dirs that hold them; each may have a name,
            as in ``UniDD=work_dirs/a/distilled``.

    Returns:
        dict: Cost by name of the set.

    Raises:
        FileNotFoundError: If a folder holds no finished set.
        ValueError: If a manifest is damaged or a name is given twice.
    """
    costs: Dict[str, Cost] = {}
    for entry in sets:
        named, _, path = entry.rpartition('=') if not osp.exists(entry) else ('', '', entry)
        folder, name = find_set(path), named or path.rstrip('/')
        if name in costs:
            raise ValueError(f'{name!r} is given twice; name the sets apart, as NAME=FOLDER')
        content = read_set_manifest(folder)
        costs[name] = Cost(content.get('method') or '-', len(content['images']),
                           set_cost(content))
    return costs


def find_set(path: str) -> str:
    """The folder of the set at ``path``, which may be its work dir.

    Raises:
        FileNotFoundError: If there is no folder, or no distilled set in it.
    """
    for folder in (path, osp.join(path, 'distilled')):
        if osp.isfile(osp.join(folder, 'manifest.json')):
            return folder
        if osp.isdir(osp.join(folder, '_job')):
            raise FileNotFoundError(f'{folder} holds a set that is not finished; resume its '
                                    f'job by --resume')
    what = 'holds no distilled set' if osp.isdir(path) else 'is no folder'
    raise FileNotFoundError(f'{path} {what}; give the folder of a set, with its manifest.json')


def cost_table(costs: Costs) -> Table:
    """A row for each set; '-' where a manifest does not say."""
    def figure(title: str, value: Callable[[Cost], Optional[float]], digits: int = 0) -> Column:
        return title, lambda item: thousands(value(item[1]), digits)

    def field(title: str, key: str, digits: int = 0) -> Column:
        return figure(title, lambda one: one.cost.get(key), digits)

    def memory(title: str, key: str) -> Column:
        return figure(title, lambda one: (one.cost.get('peak_memory_mib') or {}).get(key))

    def nfe_per_image(one: Cost) -> Optional[float]:
        passes = one.cost.get('denoiser_passes')
        return None if passes is None else passes / one.images

    return Table.build(costs.items(), [
        ('set', lambda item: item[0]), ('method', lambda item: item[1].method),
        ('images', lambda item: str(item[1].images)), field('deploy (s)', 'deploy_seconds', 1),
        field('distill (s)', 'distill_seconds', 1), field('NFE', 'denoiser_passes'),
        figure('NFE per image', nfe_per_image, 1),
        field('s per kept image', 'seconds_per_kept', 3), memory('host MiB', 'host'),
        memory('GPU MiB', 'gpu')])


def stage_table(costs: Costs) -> Table:
    """Stages of every set: one-time costs of a real set first, then the longest."""
    stages = [(name, stage, one) for name, entry in costs.items() for stage, one in sorted(
        (entry.cost.get('stages') or {}).items(),
        key=lambda item: (item[1]['kind'] != 'deploy', -item[1]['seconds']))]
    return Table.build(stages, [
        ('set', lambda item: item[0]), ('stage', lambda item: item[1]),
        ('kind', lambda item: item[2]['kind']),
        ('seconds', lambda item: thousands(item[2]['seconds'], 1)),
        ('NFE', lambda item: thousands(item[2].get('denoiser_passes')))])


def thousands(value: Optional[float], digits: int = 0) -> Optional[str]:
    """A number as text with separators; None for None."""
    return None if value is None else f'{value:,.{digits}f}'


def write_table(path: str, costs: Costs) -> None:
    """Write both tables, as Markdown or CSV by the suffix of ``path``.

    Raises:
        ValueError: If the suffix is another one.
    """
    check_suffix(path, TABLES)
    tables = [cost_table(costs), stage_table(costs)]
    if path.endswith('.md'):
        text = '\n\n'.join(table.markdown for table in tables if table.rows) + '\n'
    else:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator='\n')
        for i, table in enumerate(tables):
            writer.writerows([[]] * bool(i) + [table.columns])
            writer.writerows([cell.replace(',', '') for cell in row] for row in table.texts)
        text = stream.getvalue()
    atomic_write_text(path, text)


def cost_bars(costs: Costs, theme: str = 'light') -> Figure:
    """Deployment and distillation stacked, and peak memory beside them, a bar for each set."""
    names = list(costs)[::-1]
    entries = [costs[name].cost for name in names]
    unit, seconds = time_unit(max(
        ((cost.get('deploy_seconds') or 0.) + (cost.get('distill_seconds') or 0.)
         for cost in entries), default=0.))
    peaks = [cost.get('peak_memory_mib') or {} for cost in entries]
    memory = 'gpu' if any('gpu' in peak for peak in peaks) else 'host'
    with themed(theme):
        figure = Figure(figsize=(6.6, 1.3 + 0.4 * len(names)), layout='constrained')
        time, space = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        left = [0.] * len(names)
        for colour, kind in zip(COLOURS, ('deploy', 'distill')):
            lengths = [(cost.get(f'{kind}_seconds') or 0.) / seconds for cost in entries]
            time.barh(names, lengths, left=left, color=colour, label=kind)
            left = [start + length for start, length in zip(left, lengths)]
        time.set_xlabel(f'time ({unit})')
        space.barh(names, [peak.get(memory, 0) / 1024 for peak in peaks], color=COLOURS[2])
        space.set_xlabel(f'peak {dict(gpu="GPU", host="host")[memory]} memory (GiB)')
        for axes in (time, space):
            axes.spines[['top', 'right']].set_visible(False)
            axes.grid(axis='y', visible=False)
            axes.locator_params(axis='x', nbins=4)
        legend_below(figure, time)
        return figure


def time_unit(seconds: float) -> Tuple[str, float]:
    """The unit in which a time is easily read, and its seconds."""
    return ('hours', 3600.) if seconds >= 2 * 3600 else (
        'minutes', 60.) if seconds >= 120 else ('seconds', 1.)


def save_bars(path: str, costs: Costs) -> None:
    """Draw :func:`cost_bars` as SVG, PNG or PDF by the suffix of ``path``.

    Raises:
        ValueError: If the suffix is another one.
    """
    save_figure(cost_bars(costs), path)


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as SVG, PNG or PDF by the suffix of ``path``.

    Raises:
        ValueError: If the suffix is another one.
    """
    check_suffix(path, PICTURES)
    if path.endswith('.svg'):
        save_svg(figure, path)
        return
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=150, facecolor='white')


def check_suffix(path: str, known: Sequence[str]) -> None:
    """Check the suffix of a file to write.

    Raises:
        ValueError: If it is none of ``known``.
    """
    if not path.endswith(tuple(known)):
        raise ValueError(f'{path}: the name must end in one of {", ".join(known)}')
