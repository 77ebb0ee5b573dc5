"""Score distilled sets by LRS and ARS (DD-Ranking): what images add, apart from labels.

    python tools/analysis_tools/dd_ranking.py --sets UniDD=work_dirs/a/distilled \\
        --random work_dirs/random/distilled --hard HARD_PROTOCOL --soft SOFT_PROTOCOL

A protocol is a config file, or its parts separated by commas: model, dataset, protocol. The
random set has as many images as the others. Any metric serves: accuracy, mAP or mIoU.
"""
import argparse
import os.path as osp
from dataclasses import asdict

from mmdd.utils.arguments import ToolParser, seed, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sets', nargs='+', required=True, metavar='NAME=FOLDER[,FOLDER]')
    parser.add_argument('--random', required=True, metavar='FOLDER[,FOLDER]',
                        help='random real images, as many as in the sets')
    parser.add_argument('--hard', required=True, help='protocol with hard labels')
    parser.add_argument('--soft', required=True, help='protocol with soft labels')
    parser.add_argument('--noaug', help='for ARS the hard protocol without augmentation, or the '
                        'soft one: ARS is that of its labels')
    parser.add_argument('--full', type=float, metavar='PERCENT',
                        help='accuracy of the full real set with hard labels, if it is known; '
                        'else it is trained once')
    parser.add_argument('--w', type=float, default=0.5, help='weight of IOR in LRS')
    parser.add_argument('--gamma', type=float, default=0.5,
                        help='weight of training with augmentation in ARS')
    parser.add_argument('--which', choices=['last', 'best'], default='last',
                        help='which checkpoint counts')
    parser.add_argument('--work-dir', default='work_dirs/dd_ranking')
    parser.add_argument('--seeds', type=seed, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--metric', help='column of the protocols (the first one)')
    parser.add_argument('--jobs', type=whole(0), help='students trained at once')
    parser.add_argument('--no-lr-grid', action='store_true',
                        help="keep the protocols' learning rates instead of picking one each")
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

from mmdd.benchmark.dd_ranking import SCORES, rank_protocols
from mmdd.engine.prepare import prepare
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.teacher import ensure_teacher
from mmdd.utils.io import atomic_write_json
from mmdd.utils.table import print_table


def ready(protocol, work_dir, folder):
    """A protocol with its data, weights and teacher in place for a set; None stays None."""
    if protocol is None:
        return None
    cfg = read_protocol(protocol.split(',') if ',' in protocol else protocol)
    prepare(cfg)
    return ensure_teacher(cfg, work_dir, folder)


def main():
    args = parse_args()
    sets = {}
    for entry in args.sets:
        name, _, folders = entry.partition('=')
        if not folders or name in sets:
            raise ValueError(f'--sets {entry!r}: sets are given once each, as NAME=FOLDER')
        sets[name] = folders.split(',')
    options = dict(lr_grid=None) if args.no_lr_grid else {}
    random = args.random.split(',')
    hard, soft, noaug = (ready(protocol, args.work_dir, random[0])
                         for protocol in (args.hard, args.soft, args.noaug))
    scores = rank_protocols(
        sets, random, hard, soft, args.work_dir, noaug, args.seeds, args.jobs, full=args.full,
        metric=args.metric, which=args.which, w=args.w, gamma=args.gamma, **options)
    names = [name for name in SCORES if all(name in one.values for one in scores.values())]
    print_table('DD-Ranking, percent', ['set'] + names, [
        [method] + [one.values[name].scaled(100).text for name in names]
        for method, one in scores.items()])
    path = osp.join(args.work_dir, 'scores.json')
    atomic_write_json(path, {method: dict(asdict(one)['values'], runs=one.runs)
                             for method, one in scores.items()})
    print(f'scores: {path}')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
