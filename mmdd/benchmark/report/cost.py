"""The cost of several distilled sets side by side (UniDD, figure 5)."""
import csv
import io
import os.path as osp
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from matplotlib.figure import Figure

from mmdd.utils.io import atomic_path, atomic_write_text
from mmdd.utils.table import markdown_table
from .plots import COLOURS, legend_below, save_svg, themed
from .set_cost import set_cost
from .set_facts import read_set_manifest

COLUMNS = ('set', 'method', 'images', 'deploy (s)', 'distill (s)', 'denoiser passes',
           'passes per image', 's per kept image', 'host MiB', 'GPU MiB')
STAGE_COLUMNS = ('set', 'stage', 'kind', 'seconds', 'denoiser passes')
TABLES, PICTURES = ('.md', '.csv'), ('.svg', '.png', '.pdf')
Costs = Mapping[str, Mapping[str, Any]]


def read_costs(sets: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """What making sets cost.

    Args:
        sets: Folders of distilled sets, or the work dirs that hold them; each may have a name,
            as in ``UniDD=work_dirs/a/distilled``.

    Returns:
        dict: By name: ``method``, ``images`` (how many) and ``cost`` (:func:`set_cost`).

    Raises:
        FileNotFoundError: If a folder holds no finished set.
        ValueError: If a manifest is damaged or a name is given twice.
    """
    costs: Dict[str, Dict[str, Any]] = {}
    for entry in sets:
        named, _, path = entry.rpartition('=') if not osp.exists(entry) else ('', '', entry)
        folder, name = find_set(path), named or path.rstrip('/')
        if name in costs:
            raise ValueError(f'{name!r} is given twice; name the sets apart, as NAME=FOLDER')
        content = read_set_manifest(folder)
        costs[name] = dict(method=content.get('method') or '-', images=len(content['images']),
                           cost=set_cost(content))
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
            raise FileNotFoundError(f'{folder} holds a set that is not finished; go on with its '
                                    f'job by --resume')
    what = 'holds no distilled set' if osp.isdir(path) else 'is no folder'
    raise FileNotFoundError(f'{path} {what}; give the folder of a set, with its manifest.json')


def cost_rows(costs: Costs) -> List[List[str]]:
    """Cells of ``COLUMNS``, a row for each set; '-' where a manifest does not say."""
    rows = []
    for name, entry in costs.items():
        cost, images = entry['cost'], entry['images']
        passes, peak = cost.get('denoiser_passes'), cost.get('peak_memory_mib') or {}
        rows.append([
            name, entry['method'], str(images), number(cost.get('deploy_seconds'), 1),
            number(cost.get('distill_seconds'), 1), number(passes),
            number(None if passes is None else passes / images, 1),
            number(cost.get('seconds_per_kept'), 3), number(peak.get('host')),
            number(peak.get('gpu'))])
    return rows


def stage_rows(costs: Costs) -> List[List[str]]:
    """Cells of ``STAGE_COLUMNS``: one-time costs of a real set first, then the longest."""
    rows = []
    for name, entry in costs.items():
        stages = entry['cost'].get('stages') or {}
        for stage, one in sorted(stages.items(), key=lambda item: (
                item[1]['kind'] != 'deploy', -item[1]['seconds'])):
            rows.append([name, stage, one['kind'], number(one['seconds'], 1),
                         number(one.get('denoiser_passes'))])
    return rows


def number(value: Any, digits: int = 0) -> str:
    """A number as text, '-' for None."""
    return '-' if value is None else f'{value:,.{digits}f}'


def write_table(path: str, costs: Costs) -> None:
    """Write both tables, as Markdown or CSV by the suffix of ``path``.

    Raises:
        ValueError: If the suffix is another one.
    """
    check_suffix(path, TABLES)
    tables: List[Tuple[Sequence[str], List[List[str]]]] = [
        (COLUMNS, cost_rows(costs)), (STAGE_COLUMNS, stage_rows(costs))]
    if path.endswith('.md'):
        text = '\n'.join(markdown_table(columns, rows) for columns, rows in tables if rows)
    else:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator='\n')
        for i, (columns, rows) in enumerate(tables):
            writer.writerows([[]] * bool(i) + [columns])
            writer.writerows([cell.replace(',', '') for cell in row] for row in rows)
        text = stream.getvalue()
    atomic_write_text(path, text)


def cost_bars(costs: Costs, theme: str = 'light') -> Figure:
    """Deployment and distillation stacked, and peak memory beside them, a bar for each set."""
    names = list(costs)[::-1]
    entries = [costs[name]['cost'] for name in names]
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
    check_suffix(path, PICTURES)
    figure = cost_bars(costs)
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
