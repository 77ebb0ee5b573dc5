"""Look at a set: a contact sheet with boxes or masks, class names and scores.

    python tools/browse.py work_dirs/faster-rcnn_digits_5pct
    python tools/browse.py data/VOCdevkit --num 32 --columns 8 --out voc.png

Takes a distilled set (scores and rejects come from its manifest.json), a VOC
folder, a folder with annotations/*.json in COCO format, img_dir with ann_dir, or
a folder of class folders. Real VOC images have boxes and masks: --masks shows
the masks.
"""
import argparse
import os.path as osp

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', help='a distilled set or its work dir, a VOC or COCO folder, '
                        'class folders')
    parser.add_argument('--out', help='picture to write (<name of the folder>.png)')
    parser.add_argument('--num', type=whole(1), default=64, help='images, spread over the set')
    parser.add_argument('--columns', type=whole(1), default=8)
    parser.add_argument('--side', type=whole(16), default=160,
                        help='pixels of one image on the sheet')
    parser.add_argument('--masks', action='store_true', help='masks, where there are boxes too')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmdd.datasets.gallery import read_gallery
    from mmdd.utils.picture import save_contact_sheet
    out = args.out or f'{osp.basename(osp.abspath(args.folder))}.png'
    if not out.lower().endswith(('.png', '.jpg')):
        raise ValueError(f'--out {out}: expected a .png or .jpg file')
    tiles, classes = read_gallery(args.folder, args.num, args.masks)
    save_contact_sheet(out, tiles, classes, args.columns, args.side)
    print(f'{len(tiles)} images: {out}')


if __name__ == '__main__':
    run_cli(main)
