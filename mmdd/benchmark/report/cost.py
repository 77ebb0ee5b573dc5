"""The cost of several distilled sets side by side (UniDD, figure 5)."""
import csv
import io
import os.path as osp
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from matplotlib.figure import Figure

from mmdd.utils.io import atomic_path, atomic_write_text
from mmdd.utils.table import Table
from ..set_facts import set_facts
from .files import PICTURES, TABLES, check_suffix
from .plots import bar_panels, legend_below, svg, themed

Costs = Mapping[str, Mapping[str, Any]]


def read_costs(sets: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """What making sets cost.

    Args:
        sets: Folders of distilled sets, or the work dirs that hold them; each may have a name,
            as in ``UniDD=work_dirs/a/distilled``.

    Returns:
        dict: :func:`set_facts` by name of the set.

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
        costs[name] = set_facts(folder)
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
    rows = []
    for name, facts in costs.items():
        cost, passes = facts['cost'], facts['cost'].get('denoiser_passes')
        peak = cost.get('peak_memory_mib') or {}
        rows.append({
            'set': name, 'method': facts['method'], 'images': str(facts['images']),
            'deploy (s)': thousands(cost.get('deploy_seconds'), 1),
            'distill (s)': thousands(cost.get('distill_seconds'), 1), 'NFE': thousands(passes),
            'NFE per image': thousands(None if passes is None else passes / facts['images'], 1),
            's per kept image': thousands(cost.get('seconds_per_kept'), 3),
            'host MiB': thousands(peak.get('host')), 'GPU MiB': thousands(peak.get('gpu'))})
    return Table.of(rows)


def stage_table(costs: Costs) -> Table:
    """Stages of every set: one-time costs of a real set first, then the longest."""
    return Table.of({
        'set': name, 'stage': stage, 'kind': one['kind'], 'seconds': thousands(one['seconds'], 1),
        'NFE': thousands(one.get('denoiser_passes'))}
        for name, facts in costs.items() for stage, one in sorted(
            (facts['cost'].get('stages') or {}).items(),
            key=lambda item: (item[1]['kind'] != 'deploy', -item[1]['seconds'])))


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


def cost_bars(costs: Costs) -> Figure:
    """Deployment and distillation stacked, and peak memory beside them, a bar for each set."""
    names = list(costs)[::-1]
    entries = [costs[name]['cost'] for name in names]
    spent = {kind: [cost.get(f'{kind}_seconds') or 0. for cost in entries]
             for kind in ('deploy', 'distill')}
    unit, seconds = time_unit(max(map(sum, zip(*spent.values())), default=0.))
    peaks = [cost.get('peak_memory_mib') or {} for cost in entries]
    memory = 'gpu' if any('gpu' in peak for peak in peaks) else 'host'
    figure = bar_panels(names, {
        f'time ({unit})': {kind: [value / seconds for value in own]
                           for kind, own in spent.items()},
        f'peak {dict(gpu="GPU", host="host")[memory]} memory (GiB)': {
            '': [peak.get(memory, 0) / 1024 for peak in peaks]}},
        (6.6, 1.3 + 0.4 * len(names)), width_ratios=(2, 1))
    legend_below(figure, figure.axes[0])
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
    with themed('light'):
        figure = cost_bars(costs)
    save_figure(figure, path)


def save_figure(figure: Figure, path: str) -> None:
    """Write a figure as SVG, PNG or PDF by the suffix of ``path``.

    Raises:
        ValueError: If the suffix is another one.
    """
    check_suffix(path, PICTURES)
    if path.endswith('.svg'):
        atomic_write_text(path, svg(figure))
        return
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=150, facecolor='white')
