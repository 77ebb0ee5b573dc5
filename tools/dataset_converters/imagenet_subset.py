"""Make a subset of ImageNet, such as ImageWoof, of links to its class folders.

    python tools/dataset_converters/imagenet_subset.py data/imagenet imagewoof data/imagewoof

Links <root>/{train,val}/<wnid> to the folders of ImageNet. The subsets are
imagenette, imagewoof, imagefruit, imagemeow, imagesquawk, imageyellow, imagenet100,
imageidc, and tiny_imagenet, the classes that ImageNet-1K shares with Tiny ImageNet.
"""
import argparse
import os
import os.path as osp

from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('imagenet', help='folder with train/<wnid> and val/<wnid>')
    parser.add_argument('subset', help='name of the subset')
    parser.add_argument('root', help='folder to write to')
    return parser.parse_args()


def link(source, target):
    """Link ``target`` to a folder; does nothing where it is linked already.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If something else is there.
    """
    if not osp.isdir(source):
        raise FileNotFoundError(f'{source} not found: ImageNet is needed in class folders, '
                                f'train/<wnid> and val/<wnid>')
    if osp.lexists(target):
        if osp.realpath(target) != osp.realpath(source):
            raise ValueError(f'{target} is there and is no link to {source}; nothing was '
                             f'changed: give another root')
        return
    os.makedirs(osp.dirname(target), exist_ok=True)
    os.symlink(osp.abspath(source), target)


def main():
    args = parse_args()
    from mmdd.datasets.class_names import class_wnids
    wnids = class_wnids(args.subset)
    for split in ('train', 'val'):
        for wnid in wnids:
            link(osp.join(args.imagenet, split, wnid), osp.join(args.root, split, wnid))
    print(f'{args.subset}: {len(wnids)} classes in {args.root}')


if __name__ == '__main__':
    run_cli(main)
