"""Measure guidance itself: does the proxy find what the slots asked for?

    python tools/analysis_tools/guidance_ap.py configs/unidd/faster-rcnn_digits_5pct.py \\
        --sets guided=work_dirs/guided plain=work_dirs/unguided --out work_dirs/guidance_ap

Takes the raw samples of each job: first attempts, before any filter. Writes
guidance_ap.json, guidance_ap.md and guidance_ap.png (asked boxes in white,
detections coloured, the sets of a slot side by side) to the folder of --out.
"""
import argparse
import json
import os.path as osp

import torch

from mmdd.datasets.manifest import MANIFEST
from mmdd.evaluation.guidance_ap import (
    comparison_tiles,
    guidance_ap,
    judge,
    read_raw_samples,
    set_folder,
)
from mmdd.registry import MODELS
from mmdd.utils.cli import run_cli
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config
from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.picture import save_contact_sheet
from mmdd.utils.table import markdown_table, print_table

COLUMNS = ('set', 'raw images', 'AP50', 'mAP', 'matched score', 'share >= tau')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config whose model.proxy judges')
    parser.add_argument('--sets', nargs='+', required=True, metavar='NAME=FOLDER',
                        help='distilled sets or their work dirs')
    parser.add_argument('--out', required=True, help='folder for table, JSON and picture')
    parser.add_argument('--checkpoint', help="the proxy's weights (the config's, else proxy.pth "
                        'of the first work dir that has one)')
    parser.add_argument('--num', type=int, default=24, help='slots on the picture')
    return parser.parse_args()


def named_folders(pairs):
    """{name: distilled set} of the command line's NAME=FOLDER."""
    folders = {}
    for pair in pairs:
        name, separator, folder = pair.partition('=')
        if not separator or not name or name in folders:
            raise ValueError(f'--sets {pair}: expected NAME=FOLDER with a name of its own')
        folders[name] = set_folder(folder)
    return folders


def find_checkpoint(args, cfg, folders) -> str:
    """The one proxy that judges every set."""
    works = [osp.join(osp.dirname(osp.abspath(folder)), 'proxy.pth')
             for folder in folders.values()]
    for path in [args.checkpoint or cfg.model.proxy.get('checkpoint')] + works:
        if path and (osp.isfile(path) or path == args.checkpoint):
            return path
    raise ValueError(f'no proxy.pth beside {", ".join(folders.values())}; give --checkpoint')


def set_classes(folders):
    """Class names by the manifest of the first set that is finished."""
    for folder in folders.values():
        path = osp.join(folder, MANIFEST)
        if osp.isfile(path):
            with open(path, encoding='utf-8') as f:
                return json.load(f)['classes']
    raise ValueError('neither the proxy nor a finished set says the class names: finish one of '
                     'the jobs')


def tau(cfg) -> float:
    """The threshold of the config's refinement; 0.5 without one."""
    return next((refiner.threshold for refiner in cfg.model.get('refiners') or []
                 if 'threshold' in refiner), 0.5)


def main():
    args = parse_args()
    setup()
    cfg = load_config(args.config)
    if cfg.model.get('proxy') is None:
        raise ValueError(f'{args.config} has no model.proxy to judge with')
    folders = named_folders(args.sets)
    cfg.model.proxy.checkpoint = find_checkpoint(args, cfg, folders)
    proxy = MODELS.build(cfg.model.proxy).to('cuda' if torch.cuda.is_available() else 'cpu')
    classes = proxy.classes or set_classes(folders)
    sets = [judge(name, read_raw_samples(folder), proxy) for name, folder in folders.items()]
    figures = {raw.name: guidance_ap(raw, len(classes), tau(cfg)) for raw in sets}
    rows = [(name, str(one['images']), f'{one["AP50"] * 100:.1f}', f'{one["mAP"] * 100:.1f}',
             f'{one["matched"]:.3f}', f'{one["passed"] * 100:.1f} %')
            for name, one in figures.items()]
    title = f'raw samples as {cfg.model.proxy.checkpoint} sees them, tau = {tau(cfg)}'
    print_table(title, COLUMNS, rows)
    atomic_write_json(osp.join(args.out, 'guidance_ap.json'), dict(
        checkpoint=cfg.model.proxy.checkpoint, threshold=tau(cfg), sets=figures))
    atomic_write_text(osp.join(args.out, 'guidance_ap.md'),
                      f'{title}\n\n{markdown_table(COLUMNS, rows)}')
    tiles = comparison_tiles(sets, args.num, proxy.relabel_thr)
    if tiles:
        save_contact_sheet(osp.join(args.out, 'guidance_ap.png'), tiles, classes,
                           columns=len(sets) * max(1, 8 // len(sets)))
    print(f'table, figures and picture: {args.out}')


if __name__ == '__main__':
    run_cli(main)
