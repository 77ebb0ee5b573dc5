"""The main job on the embedded digit scenes, from nothing to a table and a picture.

    python tools/demo.py

Trains the proxy, distills with UniDD and with the Random and Uniform coresets
at the same budget, trains students on each over several seeds, prints what they
reach on real test scenes, writes a report and draws the distilled set. Finished
parts are kept: run it again to go on.
"""
import argparse
import os.path as osp
import time

from mmdd.apis import benchmark
from mmdd.datasets.digit_scenes import CLASSES
from mmdd.datasets.gallery import read_gallery
from mmdd.utils.cli import run_cli
from mmdd.utils.picture import save_contact_sheet

ARMS = dict(
    Random='configs/coreset/random_faster-rcnn_digits_5pct.py',
    Uniform='configs/coreset/uniform_faster-rcnn_digits_5pct.py',
    UniDD='configs/unidd/faster-rcnn_digits_5pct.py')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, help='students trained at once (number of cores)')
    return parser.parse_args()


def draw(work_dir):
    """Two rows of real scenes, then distilled ones; returns the path of the picture."""
    tiles = []
    for folder, num in (('data/digit_scenes/VOC2007', 16),
                        (osp.join(work_dir, 'unidd', 'seed0', 'distilled'), 32)):
        found, names = read_gallery(folder, num)
        for tile in found:
            tile.labels = [CLASSES.index(names[label]) for label in tile.labels]
        tiles += found
    return save_contact_sheet(osp.join(work_dir, 'demo.png'), tiles, CLASSES)


def main():
    args = parse_args()
    begin = time.time()
    print('mmdd demo: digit scenes, object detection, a budget of 5 %: about 8 minutes on 2 cores')
    benchmark(ARMS, args.work_dir, seeds=args.seeds, full=True, jobs=args.jobs,
              full_seeds=args.seeds[:1], title='Digit scenes', command='python tools/demo.py')
    print(f'picture: {draw(args.work_dir)}')
    print(f'done in {(time.time() - begin) / 60:.1f} minutes')


if __name__ == '__main__':
    run_cli(main)
