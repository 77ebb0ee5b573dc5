"""Write the list of Tiny ImageNet's validation images with their labels.

    python tools/dataset_converters/tiny_imagenet.py data/tiny_imagenet

The folder is the unpacked tiny-imagenet-200. Its training images lie in class
folders; the classes of val/images stand in val/val_annotations.txt. This writes
meta/val.txt, lines of image and class index in the order of the class folders.
"""
import argparse
import os.path as osp

from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli
from mmdd.utils.io import atomic_write_text


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', help='folder of the unpacked tiny-imagenet-200')
    return parser.parse_args()


def main():
    root = parse_args().root
    from mmdd.datasets.class_names import class_wnids
    path = osp.join(root, 'val', 'val_annotations.txt')
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} not found; give the folder of tiny-imagenet-200')
    index = {wnid: i for i, wnid in enumerate(class_wnids('tiny_imagenet'))}
    lines = []
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            fields = line.split('\t')
            if len(fields) < 2 or fields[1].strip() not in index:
                raise ValueError(f'{path}:{number}: expected an image name, a tab and a class of '
                                 f'Tiny ImageNet, got {line[:60]!r}; unpack the data again')
            lines.append(f'{fields[0]} {index[fields[1].strip()]}\n')
    target = osp.join(root, 'meta', 'val.txt')
    atomic_write_text(target, ''.join(lines))
    print(f'{len(lines)} images: {target}')


if __name__ == '__main__':
    run_cli(main)
