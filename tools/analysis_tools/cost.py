"""Tabulate what distilled sets cost: time to deploy and to distill, NFE, memory.

    python tools/analysis_tools/cost.py work_dirs/a/distilled D4M=work_dirs/b/distilled \\
        --out cost.md --plot cost.svg

'deploy' is a one-time cost of a real set (training a proxy, fine-tuning, scoring, statistics),
'distill' for every distilled set. NFE is the number of denoiser evaluations; sets from before it
was counted show '-'.
"""
import argparse

from mmdd.benchmark.report.files import PICTURES, TABLES, check_suffix
from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sets', nargs='+', metavar='[NAME=]FOLDER',
                        help='distilled sets, or the work dirs that hold them')
    parser.add_argument('--out', help=f'file of the tables ({", ".join(TABLES)})')
    parser.add_argument('--plot', help=f'file of stacked bars ({", ".join(PICTURES)})')
    return parser.parse_args()


def main():
    args = parse_args()
    for path, known in ((args.out, TABLES), (args.plot, PICTURES)):
        if path:
            check_suffix(path, known)
    from mmdd.benchmark.report.cost import (
        cost_table,
        read_costs,
        save_bars,
        stage_table,
        write_table,
    )
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
