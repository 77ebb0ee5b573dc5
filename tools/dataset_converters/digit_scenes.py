"""Build the digit-scenes dataset: VOC2007 layout with masks, and class folders.

    python tools/dataset_converters/digit_scenes.py data/digit_scenes

The handwriting comes with scikit-learn; the set is a function of the seed and
the sizes alone.
"""
import argparse

from mmdd.utils.arguments import ToolParser, seed, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', help='folder to write to')
    parser.add_argument('--scenes', type=whole(0), nargs=3, default=[1000, 200, 300],
                        metavar=('TRAIN', 'VAL', 'TEST'))
    parser.add_argument('--singles', type=whole(0), nargs=3, default=[2000, 300, 500],
                        metavar=('TRAIN', 'VAL', 'TEST'))
    parser.add_argument('--size', type=whole(1), default=64, help='side of the images in pixels')
    parser.add_argument('--seed', type=seed, default=0)
    return parser.parse_args()


def main():
    args = parse_args()
    from mmdd.datasets import DigitScenes
    splits = ('train', 'val', 'test')
    builder = DigitScenes(args.root, dict(zip(splits, args.scenes)),
                          dict(zip(splits, args.singles)), args.size, args.seed)
    print(f'digit scenes: {builder.build()}')


if __name__ == '__main__':
    run_cli(main)
