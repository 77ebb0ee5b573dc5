"""Tabulate what distilled sets cost: time to deploy and to distill, NFE, memory.

    python tools/analysis_tools/cost.py work_dirs/a/distilled D4M=work_dirs/b/distilled \\
        --out cost.md --plot cost.svg

'deploy' is a one-time cost of a real set (training a proxy, fine-tuning, scoring, statistics),
'distill' for every distilled set. NFE is the number of denoiser evaluations; sets from before it
was counted show '-'.
"""
import argparse
import csv
import io
import os.path as osp

from mmdd.utils.arguments import PICTURES, TABLES, ToolParser, check_suffix
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sets', nargs='+', metavar='[NAME=]FOLDER',
                        help='distilled sets, or the work dirs that hold them')
    parser.add_argument('--out', help=f'file of the tables ({", ".join(TABLES)})')
    parser.add_argument('--plot', help=f'file of stacked bars ({", ".join(PICTURES)})')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

from mmdd.datasets.set_facts import set_facts
from mmdd.utils.figures import bar_panels, legend_below, save_figure, themed
from mmdd.utils.io import atomic_write_text
from mmdd.utils.table import Table


def read_costs(sets):
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
    costs = {}
    for entry in sets:
        named, _, path = entry.rpartition('=') if not osp.exists(entry) else ('', '', entry)
        folder, name = find_set(path), named or path.rstrip('/')
        if name in costs:
            raise ValueError(f'{name!r} is given twice; name the sets apart, as NAME=FOLDER')
        costs[name] = set_facts(folder)
    return costs


def find_set(path):
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


def cost_table(costs):
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


def stage_table(costs):
    """Stages of every set: one-time costs of a real set first, then the longest."""
    return Table.of({
        'set': name, 'stage': stage, 'kind': one['kind'], 'seconds': thousands(one['seconds'], 1),
        'NFE': thousands(one.get('denoiser_passes'))}
        for name, facts in costs.items() for stage, one in sorted(
            (facts['cost'].get('stages') or {}).items(),
            key=lambda item: (item[1]['kind'] != 'deploy', -item[1]['seconds'])))


def thousands(value, digits=0):
    """A number as text with separators; None for None."""
    return None if value is None else f'{value:,.{digits}f}'


def write_table(path, costs):
    """Write both tables, as Markdown or CSV by the suffix of ``path``."""
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


def cost_bars(costs):
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


def time_unit(seconds):
    """The unit in which a time is easily read, and its seconds."""
    return ('hours', 3600.) if seconds >= 2 * 3600 else (
        'minutes', 60.) if seconds >= 120 else ('seconds', 1.)


def save_bars(path, costs):
    """Draw :func:`cost_bars` as SVG, PNG or PDF by the suffix of ``path``."""
    with themed('light'):
        figure = cost_bars(costs)
    save_figure(figure, path)


def main():
    args = parse_args()
    for path, known in ((args.out, TABLES), (args.plot, PICTURES)):
        if path:
            check_suffix(path, known)
    costs = read_costs(args.sets)
    cost_table(costs).print('Cost of sets')
    stage_table(costs).print('Stages')
    if args.out:
        write_table(args.out, costs)
        print(f'tables: {args.out}')
    if args.plot:
        save_bars(args.plot, costs)
        print(f'plot: {args.plot}')


if __name__ == '__main__':
    run_cli(main)
