"""Measure what a job of many shards costs beside its sampling: planning, journal and merge.

    python tools/analysis_tools/simulate_ranks.py --slots 1000 10000 100000 --ranks 1 8 64

The slots are those of ImageNet-1K at 1, 10 and 100 images per class. The shards run one after the
other in one process, with everything of a job but a network: each picture is the same small tile.
Seconds are those of the CPU; 'journaling' is the sum over all shards, which otherwise run at once.
Growth is that of the time per slot from the size before: 1 is linear.
"""
import argparse
import multiprocessing
import tempfile
from typing import Dict, Tuple

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli

Measured = Dict[str, Dict[str, float]]


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--slots', type=whole(1), nargs='+', default=[1000, 10000],
                        help='numbers of slots, multiples of --classes')
    parser.add_argument('--ranks', type=whole(1), nargs='+', default=[1, 8, 64],
                        help='numbers of shards')
    parser.add_argument('--classes', type=whole(1), default=1000)
    parser.add_argument('--folder', help='where the sets go for the time being (that of TMPDIR)')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

from probes.simulated_ranks import SimulatedLoop, simulate_ranks

from mmdd.utils.compat import setup
from mmdd.utils.table import markdown_table


def measure(case: Tuple[int, int, int, str]) -> Measured:
    """Measure one case in a folder that is removed."""
    slots, ranks, classes, folder = case
    with tempfile.TemporaryDirectory(dir=folder) as work_dir:
        return simulate_ranks(work_dir, classes, slots // classes, ranks).found


def main():
    args = parse_args()
    for slots in args.slots:
        if slots % args.classes:
            raise ValueError(f'--slots {slots}: give a multiple of {args.classes} (--classes)')
    setup()
    context, rows, before = multiprocessing.get_context('fork'), [], {}
    for ranks in args.ranks:
        for slots in sorted(args.slots):
            with context.Pool(1) as pool:  # a process of its own, for its peak memory
                found = pool.apply(measure, ((slots, ranks, args.classes, args.folder), ))
            cells = [f'{slots:,}', str(ranks)]
            for phase in SimulatedLoop.phases:
                each = found[phase]['seconds'] / slots
                growth = f'{each / before[ranks, phase]:.2f}' if (ranks, phase) in before else '-'
                before[ranks, phase] = each
                cells.append(f'{found[phase]["seconds"]:.1f} s, {1000 * each:.2f} ms a slot, '
                             f'growth {growth}, {found[phase]["mib"]:.0f} MiB')
            rows.append(cells)
            print(' | '.join(cells), flush=True)
    print(markdown_table(('slots', 'shards', *SimulatedLoop.phases), rows))


if __name__ == '__main__':
    run_cli(main)
