"""Export a distilled set: for the Hugging Face Hub, as WebDataset shards, or as a page.

    python tools/export.py work_dirs/faster-rcnn_digits_5pct --to hub --out hub/digits
    python tools/export.py SET --to webdataset --out shards --shard-size 256MB
    python tools/export.py SET --to viewer --out page
    python tools/export.py SET --to viewer --out page --neighbours CONFIG

The files of the set are compared with its manifest.json first, images are copied byte for
byte, and FOLDER appears when all of it is written. docs/export.md describes the three forms.
"""
import argparse
from functools import partial

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli, stop


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('set', help='a distilled set or its work dir')
    parser.add_argument('--to', required=True, choices=['hub', 'webdataset', 'viewer'])
    parser.add_argument('--out', required=True, metavar='FOLDER',
                        help='folder to make; it must not be there, or be empty')
    parser.add_argument('--shard-size', default='1000', metavar='SIZE',
                        help='most that a tar file of --to webdataset holds: images, as in 1000 '
                             '(the default), or megabytes, as in 256MB')
    parser.add_argument('--neighbours', metavar='CONFIG',
                        help='config of the job: --to viewer shows below each image the real '
                             'images that are nearest by the features of its metrics')
    parser.add_argument('--num-neighbours', type=whole(1), default=4, metavar='K',
                        help='how many (4)')
    parser.add_argument('--num-real', type=whole(1), metavar='N',
                        help='how many real images are looked at (num_real of the metrics)')
    return parser.parse_args()


def neighbour_finder(args):
    """What gives the neighbours of a set; None unless they are asked for."""
    if args.neighbours is None:
        return None
    from mmdd.engine.nearest_real import nearest_real
    return partial(nearest_real, config=args.neighbours, k=args.num_neighbours,
                   num_real=args.num_real)


def main():
    args = parse_args()
    from mmdd.datasets.export import export_set
    try:
        number = export_set(args.set, args.out, args.to, args.shard_size, neighbour_finder(args))
    except KeyboardInterrupt:
        stop(f'interrupted: nothing was written to {args.out}')
    print(f'{number} images: {args.out}')


if __name__ == '__main__':
    run_cli(main)
