"""Look at what jobs would ask for, before anything is drawn: boxes or masks on a grey canvas.

    python tools/analysis_tools/layouts.py configs/unidd/faster-rcnn_digits_1pct.py \\
        configs/unidd/faster-rcnn_digits_1pct_composed.py --out layouts.png

One block of rows for each config, in their order. No network is trained, and none loaded but
the proxy, where the label sampler reads the real images with it.
"""
import argparse

from mmdd.utils.arguments import CfgOptions, ToolParser, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='config files of distillers or coresets')
    parser.add_argument('--out', default='layouts.png', help='picture to write')
    parser.add_argument('--num', type=whole(1), default=16,
                        help='slots of each config, the first ones')
    parser.add_argument('--columns', type=whole(1), default=8)
    parser.add_argument('--side', type=whole(16), default=160,
                        help='pixels of one layout on the sheet')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change config fields of all configs, e.g. model.seed=1')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import numpy as np
from probes.layout_sheets import layout_tile, plan_layouts

from mmdd.utils.io import atomic_save_image
from mmdd.utils.picture import contact_sheet


def main():
    args = parse_args()
    if min(args.num, args.columns) < 1 or args.side < 16:
        raise ValueError('--num and --columns must be at least 1 and --side at least 16')
    if not args.out.lower().endswith(('.png', '.jpg')):
        raise ValueError(f'--out {args.out}: expected a .png or .jpg file')
    blocks = []
    for config in args.configs:
        slots, classes = plan_layouts(config, args.cfg_options)
        shown = [layout_tile(slot, classes) for slot in slots[:args.num]]
        blocks.append(contact_sheet(shown, classes, args.columns, args.side))
        objects = sum(len(slot.labels) for slot in slots)
        print(f'{config}: {len(slots)} slots with {objects} labels')
    width = max(block.shape[1] for block in blocks)
    sheet = np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]), (0, 0)))
                            for block in blocks])
    atomic_save_image(args.out, sheet)
    print(f'layouts: {args.out}')


if __name__ == '__main__':
    run_cli(main)
