"""Train students on sets and measure them on real data.

    python tools/evaluate.py configs/unidd/faster-rcnn_digits_5pct.py \\
        --sets mine=work_dirs/unidd/distilled other=work_dirs/a/distilled,work_dirs/b/distilled \\
        --full

Several folders, separated by commas, are the generated sets of one method. Beside the sets
stands a baseline of random real images of the same number: with a distillation
config, as above, it is made where it is missing.

Finished trainings are kept under the work dir and skipped, so the same command
resumes. Writes results.md and results.json there.
"""
import argparse
import os.path as osp

from mmdd.utils.arguments import CfgOptions, ToolParser, real, seed, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('protocol', help='student protocol, or a distillation config that '
                        'names one in evaluation.protocol')
    parser.add_argument('--sets', nargs='+', default=[], metavar='NAME=FOLDER',
                        help='sets to train students on; NAME=FOLDER,FOLDER for several '
                        'generated sets of one method')
    parser.add_argument('--full', action='store_true', help='also train on the full real set')
    parser.add_argument('--no-random', dest='random', action='store_false',
                        help='add no baseline of random real images')
    parser.add_argument('--seeds', nargs='+', type=seed, default=[0, 1, 2],
                        help='one student per set and seed (0 1 2)')
    parser.add_argument('--full-seeds', nargs='+', type=seed,
                        help='seeds of the full real set, the slowest ones; as --seeds')
    parser.add_argument('--lr-grid', nargs='*', type=real(above=0), metavar='LR',
                        help='pick the learning rate of each method on validation images; without '
                        'values from 0.001, 0.005, 0.01, 0.05, 0.1')
    parser.add_argument('--jobs', type=whole(0),
                        help='students at once (one per GPU, or per CPU core); 0: no workers')
    parser.add_argument('--work-dir', help='where everything goes (work_dirs/evaluate_<protocol>)')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change fields of the protocol, e.g. train_cfg.max_iters=400')
    return parser.parse_args()


def named_sets(pairs, full):
    """NAME=FOLDER arguments as a dict, with 'full' at its end."""
    sets = {}
    for pair in pairs:
        name, found, folder = pair.partition('=')
        if not (name and found and folder.strip(',')):
            raise ValueError(f'--sets {pair}: write NAME=FOLDER')
        if name in sets:
            raise ValueError(f'--sets: the name {name!r} is given twice')
        folders = [part for part in folder.split(',') if part]
        sets[name] = folders if len(folders) > 1 else folders[0]
    if full:
        sets['Full'] = 'full'
    if not sets:
        raise ValueError('nothing to evaluate: give --sets NAME=FOLDER, or --full')
    return sets


def main():
    args = parse_args()
    from mmdd.apis import evaluate
    from mmdd.protocols.lr_search import LR_GRID
    sets = named_sets(args.sets, args.full)
    name = osp.splitext(osp.basename(args.protocol))[0]
    evaluate(args.protocol, sets, args.work_dir or osp.join('work_dirs', f'evaluate_{name}'),
             seeds=args.seeds, jobs=args.jobs, cfg_options=args.cfg_options,
             full_seeds=args.full_seeds, random=args.random,
             lr_grid=LR_GRID if args.lr_grid == [] else args.lr_grid)


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
