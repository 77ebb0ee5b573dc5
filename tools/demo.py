"""The main job on the embedded digit scenes, from nothing to a table and a picture.

    python tools/demo.py

Trains the proxy, distills ten of 1,000 scenes (1 %) with UniDD, from layouts of real images (from
noise alone, and with a real image to start from where that fails) and from composed ones that
start from a collage, and with four coresets at the same budget, trains students on each over
several seeds, prints what they reach on real test scenes, writes a report and draws the distilled
sets. Finished parts are kept: run it again to resume.
"""
import argparse
import os.path as osp
import time

from mmdd.utils.arguments import ToolParser, seed, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli
from mmdd.utils.names import slug

METHODS = {
    'Random': 'configs/coreset/random_faster-rcnn_digits_1pct.py',
    'Uniform': 'configs/coreset/uniform_faster-rcnn_digits_1pct.py',
    'Herding': 'configs/coreset/herding_faster-rcnn_digits_1pct.py',
    'Densest': 'configs/coreset/densest_faster-rcnn_digits_1pct.py',
    'UniDD from noise': 'configs/unidd/faster-rcnn_digits_1pct_noise.py',
    'UniDD': 'configs/unidd/faster-rcnn_digits_1pct.py',
    'UniDD collage': 'configs/unidd/faster-rcnn_digits_1pct_collage.py'
}
DRAWN = ('UniDD from noise', 'UniDD', 'UniDD collage')
IMAGES = 10  # of a set, a row of the picture


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument('--seeds', type=seed, nargs='+', default=[0, 1, 2])
    parser.add_argument('--jobs', type=whole(0), help='students trained at once (number of cores)')
    return parser.parse_args()


def draw(work_dir):
    """A row of real scenes, then one of each distilled set; returns the path of the picture."""
    import numpy as np

    from mmdd.datasets.digit_scenes import CLASSES
    from mmdd.datasets.gallery import read_gallery
    from mmdd.utils.picture import save_contact_sheet
    folders = ['data/digit_scenes/VOC2007'] + [
        osp.join(work_dir, slug(name), 'seed0', 'distilled') for name in DRAWN]
    tiles = []
    for folder in folders:
        found, names = read_gallery(folder, IMAGES)
        for tile in found:
            tile.target = tile.target.with_parts(
                labels=np.array([CLASSES.index(names[label]) for label in tile.target.labels]))
        tiles += found
    return save_contact_sheet(osp.join(work_dir, 'demo.png'), tiles, CLASSES, columns=IMAGES)


def main():
    args = parse_args()
    from mmdd.apis import benchmark
    begin = time.time()
    print('mmdd demo: digit scenes, object detection, a budget of 1 %: 4 to 9 minutes on 2 cores')
    benchmark(METHODS, args.work_dir, seeds=args.seeds, full=True, jobs=args.jobs,
              full_seeds=args.seeds[:1], title='Digit scenes', command='python tools/demo.py')
    print(f'picture: {draw(args.work_dir)}')
    print(f'done in {(time.time() - begin) / 60:.1f} minutes')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
