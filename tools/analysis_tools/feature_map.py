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

from mmdd.utils.arguments import PICTURES, ToolParser, check_suffix, whole
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

import numpy as np
from matplotlib.figure import Figure
from mmengine.registry import DefaultScope

from mmdd.datasets.checks import open_real_set
from mmdd.datasets.class_names import spoken_names
from mmdd.datasets.set_facts import read_set_manifest
from mmdd.engine.prepare import prepare
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.proxies.feature_pass import image_features
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config, suggestion
from mmdd.utils.evenly import evenly_chosen
from mmdd.utils.feature_plane import check_embedding, embed
from mmdd.utils.figures import COLOURS, MARKERS, legend_below, save_figure, themed

REAL = 'real'


def set_files(folder):
    """Image files of a distilled set by class, under the name that a class is called by."""
    content = read_set_manifest(folder)
    said = dict(zip(content['classes'], first_names(content['classes'])))
    found = {name: [] for name in said.values()}
    for entry in content['images']:
        for name in set(entry['classes']):
            found[said[name]].append(osp.join(folder, entry['files'][0]))
    return found


def real_files(dataset):
    """The same of a mm* dataset of classification."""
    built = open_real_set(dataset)
    names = first_names(built.metainfo['classes'])
    found = {name: [] for name in names}
    for i in range(len(built)):
        info = built.get_data_info(i)
        found[names[int(info['gt_label'])]].append(info['img_path'])
    return found


def first_names(classes):
    """The first synonym of each class, with spaces."""
    return [name.split(',')[0].replace('_', ' ').strip() for name in spoken_names(classes)]


def class_points(network, sets, image_size, classes=None, num=100, method='tsne'):
    """Place the images of sets together in one plane.

    Args:
        network: Gives ``features(images) -> (B, D)``.
        sets: Image files by class, by name of the set.
        image_size: Side to which images are brought.
        classes: Those that are shown; all of the first set if None.
        num: Images of a class at most, spread over it.
        method: 'tsne' or 'umap'.

    Returns:
        dict: (N, 2) coordinates by set and class.

    Raises:
        ValueError: If a set lacks a class.
    """
    shown = list(classes or next(iter(sets.values())))
    chosen = {}
    for name, files in sets.items():
        for label in shown:
            if not files.get(label):
                raise ValueError(f'{name} has no images of the class {label!r}'
                                 f'{suggestion(label, list(files))}')
            chosen[name, label] = evenly_chosen(files[label], num)
    paths = [path for own in chosen.values() for path in own]
    ends = np.cumsum([len(own) for own in chosen.values()])[:-1]
    flat = embed({REAL: image_features(network, paths, image_size)}, method)[REAL]
    found = {name: {} for name in sets}
    for (name, label), points in zip(chosen, np.split(flat, ends)):
        found[name][label] = points
    return found


def class_map(found, theme='light'):
    """Panels of one map: a panel for each set, a colour and a marker for each class."""
    with themed(theme):
        figure = Figure(figsize=(3.2 * len(found), 3.8), layout='constrained')
        panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, points) in zip(panels, found.items()):
            for i, (label, xy) in enumerate(points.items()):
                axes.scatter(xy[:, 0], xy[:, 1], s=14, color=COLOURS[i % len(COLOURS)],
                             marker=MARKERS[i // len(COLOURS) % len(MARKERS)], alpha=0.8,
                             linewidths=0, label=label)
            axes.set_title(name)
            axes.set_axis_off()
        legend_below(figure, panels[0])
        return figure


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
