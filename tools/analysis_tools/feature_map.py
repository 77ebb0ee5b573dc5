"""Draw the classes of distilled sets as a network sees them, a panel of one t-SNE for each set.

    python tools/analysis_tools/feature_map.py D4M=work_dirs/a UniDD=work_dirs/b \\
        --network configs/_base_/models/resnet18.py configs/_base_/datasets/imagewoof_cls.py \\
        configs/_base_/schedules/teacher_cls.py \\
        --checkpoint work_dirs/teachers/resnet18_imagewoof.pth \\
        --real --classes beagle dingo --out map.png

The network is trained first where its checkpoint is missing; --real adds the images that it
is trained on as a panel.
"""
import argparse
import os.path as osp

from mmdd.benchmark.report.files import PICTURES, check_suffix
from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sets', nargs='+', metavar='NAME=FOLDER', help='distilled sets')
    parser.add_argument('--network', nargs='+', required=True, metavar='CONFIG',
                        help='training config of a classifier, or its parts')
    parser.add_argument('--checkpoint', required=True, help='its weights, or where they go')
    parser.add_argument('--real', action='store_true', help='show the real images too')
    parser.add_argument('--classes', nargs='+', metavar='NAME',
                        help='classes to show, by their first name (all)')
    parser.add_argument('--num', type=whole(1), default=100,
                        help='images of a class at most (100)')
    parser.add_argument('--size', type=whole(8), default=224,
                        help='side in pixels to which images are brought (224)')
    parser.add_argument('--embedding', default='tsne', choices=['tsne', 'umap'])
    parser.add_argument('--out', required=True, help=f'file to write ({", ".join(PICTURES)})')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

from mmengine.registry import DefaultScope

from mmdd.benchmark.report.class_map import class_map, class_points, real_files, set_files
from mmdd.benchmark.report.cost import save_figure
from mmdd.benchmark.report.embedding import REAL, check_embedding
from mmdd.engine.prepare import prepare
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config


def main():
    args = parse_args()
    check_suffix(args.out, PICTURES)
    check_embedding(args.embedding)
    setup()
    sets = {}
    for entry in args.sets:
        name, found, folder = entry.partition('=')
        if not found or not name or name in sets:
            raise ValueError(f'{entry!r}: sets are given once each, as NAME=FOLDER')
        inner = osp.join(folder, 'distilled')
        sets[name] = set_files(inner if osp.isdir(inner) else folder)
    training = load_config(args.network)
    if args.real:
        prepare(training)
        with DefaultScope.overwrite_default_scope(training.get('default_scope') or 'mmengine'):
            sets = {REAL: real_files(training.train_dataloader.dataset), **sets}
    ensure_checkpoint(args.network, args.checkpoint)
    network = MODELS.build(dict(
        type='ClassifierProxy', cfg=args.network, checkpoint=args.checkpoint))
    points = class_points(network, sets, args.size, args.classes, args.num, args.embedding)
    save_figure(class_map(points), args.out)
    print(f'map: {args.out}')


if __name__ == '__main__':
    run_cli(main)
