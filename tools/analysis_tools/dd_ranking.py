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

from mmdd.benchmark.dd_ranking import SCORES, rank_set
from mmdd.engine.prepare import prepare
from mmdd.protocols import Run, by_method, evaluate_sets
from mmdd.protocols.lr_search import LR_GRID
from mmdd.protocols.protocol import FULL, read_protocol
from mmdd.protocols.recipes import SoftRule
from mmdd.protocols.teacher import ensure_teacher
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import class_of
from mmdd.utils.io import atomic_write_json
from mmdd.utils.table import print_table

RANDOM, FULL_SET = 'random real images', 'full real set'


def ready(protocol, work_dir, folder):
    """A protocol with its data, weights and teacher in place for a set; None stays None."""
    if protocol is None:
        return None
    cfg = read_protocol(protocol.split(',') if ',' in protocol else protocol)
    prepare(cfg)
    return ensure_teacher(cfg, work_dir, folder)


def rank_protocols(sets, random, hard, soft, work_dir, noaug=None, seeds=(0, 1, 2, 3, 4),
                   jobs=None, lr_grid=LR_GRID, full=None, **kwargs):
    """Train everything that LRS and ARS need.

    Args:
        sets: Folder, or list of folders, of each set by name; all of one size.
        random: Folder, or folders, of random real images of that size.
        hard: Protocol with hard labels.
        soft: Protocol with soft labels, or any other kind.
        work_dir: Where the runs go; finished ones are skipped.
        noaug: A protocol without augmentation; there is no ARS if None. ARS compares the
            labels that it has: where it is ``soft`` without augmentation, ARS is that of
            soft labels.
        seeds: Seeds of the trainings; DD-Ranking takes 5.
        jobs: See :func:`evaluate_sets`.
        lr_grid: See :func:`evaluate_sets`; DD-Ranking picks the rate of each set.
        full: Accuracy of the full real set with hard labels in percent, if it is known.
            None trains it once, with the first seed and the rate of the protocol: it costs
            more than all the others, and only its value counts.
        kwargs: See :func:`rank_set`.

    Returns:
        dict: :func:`rank_set` of each set by name.

    Raises:
        ValueError: For a name of the random or the full set, a ``full`` that is no percentage,
            and a set without a finished run.
    """
    if {RANDOM, FULL_SET} & set(sets):
        raise ValueError(f'rank_protocols: the names {RANDOM!r} and {FULL_SET!r} are taken')

    def train(protocol):
        if protocol is None:
            return {}
        found = by_method(evaluate_sets(dict(sets, **{RANDOM: random}), protocol, work_dir, seeds,
                                        jobs, lr_grid=lr_grid))
        return {name: own.runs for name, own in found.items()}

    if full is not None and not 0 <= full <= 100:
        raise ValueError(f'the accuracy of the full real set is in percent, 0 to 100, got {full}')
    by_hard, by_soft, bare = train(hard), train(soft), train(noaug)
    augmented = by_soft if bare and labels_are_soft(noaug) else by_hard
    if full is None:
        whole = evaluate_sets({FULL_SET: FULL}, hard, work_dir, seeds[:1], jobs)
    else:
        values = {kwargs.get('metric') or 'known': full}
        whole = [Run(FULL_SET, FULL, seeds[0], last=values, best=values)]
    return {name: rank_set(
        by_hard[name], whole, by_soft[name], by_soft[RANDOM], bare.get(name, ()),
        bare.get(RANDOM, ()), augmented[RANDOM], augmented[name], **kwargs) for name in sets}


def labels_are_soft(protocol):
    """Whether a protocol trains on a teacher's labels."""
    cfg = read_protocol(protocol)
    rule = class_of(TASK_UTILS, cfg.protocol.get('schedule'))
    return rule is not None and issubclass(rule, SoftRule)


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
