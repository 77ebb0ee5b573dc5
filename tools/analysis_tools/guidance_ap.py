"""Measure guidance itself: is in the images what the slots asked for?

    python tools/analysis_tools/guidance_ap.py configs/unidd/faster-rcnn_digits_5pct.py \\
        --sets guided=work_dirs/guided plain=work_dirs/unguided --out work_dirs/guidance_ap

Takes the raw samples of each job: first attempts, before any filter. AP50 and mAP for boxes,
mIoU (without the background) for masks, top-1 for classes, as the proxy sees them and, where
the config has one, as the judge (model.judge) does: what rises for the proxy alone is no
better image. Writes guidance_ap.json, guidance_ap.md and guidance_ap.png (asked boxes and
outlines in white, what the proxy sees coloured, the sets of a slot side by side) to the folder
of --out.
"""
import argparse
import os.path as osp

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli

NAMES = dict(AP50='AP50', mAP='mAP', mIoU='mIoU', top1='top-1')


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config with model.proxy and perhaps model.judge')
    parser.add_argument('--sets', nargs='+', required=True, metavar='NAME=FOLDER',
                        help='distilled sets or their work dirs')
    parser.add_argument('--out', required=True, help='folder for table, JSON and picture')
    parser.add_argument('--checkpoint', help="the proxy's weights (the config's, else proxy.pth "
                        'of the first work dir that has one)')
    parser.add_argument('--judge-checkpoint', help="the judge's weights (found like the proxy's, "
                        'as judge.pth)')
    parser.add_argument('--num', type=whole(1), default=24, help='slots on the picture')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch
from probes.average_precision import (
    comparison_tiles,
    guidance_ap,
    look_at,
    read_raw_samples,
    set_folder,
)

from mmdd.datasets.manifest import read_manifest
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config
from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.picture import save_contact_sheet
from mmdd.utils.table import markdown_table, print_table


def named_folders(pairs):
    """{name: distilled set} of the command line's NAME=FOLDER."""
    folders = {}
    for pair in pairs:
        name, separator, folder = pair.partition('=')
        if not separator or not name or name in folders:
            raise ValueError(f'--sets {pair}: expected NAME=FOLDER with a name of its own')
        folders[name] = set_folder(folder)
    return folders


def find_checkpoint(name, given, cfg, folders) -> str:
    """The weights of 'proxy' or 'judge' that look at every set."""
    works = [osp.join(osp.dirname(osp.abspath(folder)), f'{name}.pth')
             for folder in folders.values()]
    for path in [given or cfg.model[name].get('checkpoint')] + works:
        if path and (osp.isfile(path) or path == given):
            return path
    option = '--checkpoint' if name == 'proxy' else '--judge-checkpoint'
    raise ValueError(f'no {name}.pth beside {", ".join(folders.values())}; give {option}')


def build_networks(args, cfg, folders):
    """The proxy, and the judge where the config has one, with their weights."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    networks = {}
    for name, given in (('proxy', args.checkpoint), ('judge', args.judge_checkpoint)):
        if cfg.model.get(name) is not None:
            cfg.model[name].checkpoint = find_checkpoint(name, given, cfg, folders)
            networks[name] = MODELS.build(cfg.model[name]).to(device)
    return networks


def set_classes(folders):
    """Class names by the manifest of the first set that is finished."""
    for folder in folders.values():
        manifest = read_manifest(folder)
        if manifest:
            return manifest['classes']
    raise ValueError('neither the proxy nor a finished set says the class names: finish one of '
                     'the jobs')


def tau(cfg) -> float:
    """The threshold of the config's refinement; 0.5 without one."""
    return next((refiner.threshold for refiner in cfg.model.get('refiners') or []
                 if 'threshold' in refiner), 0.5)


def table_of(figures):
    """Columns and rows: the figures by the proxy, then those by the judge."""
    columns, rows = ['set', 'raw images'], []
    for seer, sets in figures.items():
        one = next(iter(sets.values()))
        prefix = '' if seer == 'proxy' else f'{seer} '
        columns += [f'{prefix}{NAMES[key]}' for key in one if key in NAMES]
        columns += [f'{prefix}matched score'] + ['share >= tau'] * (seer == 'proxy')
    for name, first in figures['proxy'].items():
        row = [name, str(first['images'])]
        for seer, sets in figures.items():
            one = sets[name]
            row += [f'{one[key] * 100:.1f}' for key in one if key in NAMES]
            row += [f'{one["matched"]:.3f}'] + [f'{one["passed"] * 100:.1f} %'] * (seer == 'proxy')
        rows.append(row)
    return columns, rows


def main():
    args = parse_args()
    setup()
    cfg = load_config(args.config)
    if cfg.model.get('proxy') is None:
        raise ValueError(f'{args.config} has no model.proxy to look with')
    folders = named_folders(args.sets)
    networks = build_networks(args, cfg, folders)
    proxy = networks['proxy']
    classes = proxy.classes or set_classes(folders)
    samples = {name: read_raw_samples(folder) for name, folder in folders.items()}
    seen = {seer: [look_at(name, own, network) for name, own in samples.items()]
            for seer, network in networks.items()}
    figures = {seer: {raw.name: guidance_ap(raw, classes, tau(cfg)) for raw in sets}
               for seer, sets in seen.items()}
    columns, rows = table_of(figures)
    title = ', '.join(f'{seer} {cfg.model[seer].checkpoint}' for seer in networks)
    title = f'raw samples as seen by {title}, tau = {tau(cfg)}'
    print_table(title, columns, rows)
    atomic_write_json(osp.join(args.out, 'guidance_ap.json'), dict(
        checkpoint=cfg.model.proxy.checkpoint, threshold=tau(cfg), sets=figures['proxy'],
        **(dict(judge=dict(checkpoint=cfg.model.judge.checkpoint, sets=figures['judge']))
           if 'judge' in figures else {})))
    atomic_write_text(osp.join(args.out, 'guidance_ap.md'),
                      f'{title}\n\n{markdown_table(columns, rows)}')
    tiles = comparison_tiles(seen['proxy'], args.num, proxy.relabel_thr)
    if tiles:
        save_contact_sheet(osp.join(args.out, 'guidance_ap.png'), tiles, classes,
                           columns=len(samples) * max(1, 8 // len(samples)))
    print(f'table, figures and picture: {args.out}')


if __name__ == '__main__':
    run_cli(main)
