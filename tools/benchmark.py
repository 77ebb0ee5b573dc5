"""Distill with several configs, train students on each, print one table.

    python tools/benchmark.py Random=configs/coreset/random_faster-rcnn_digits_5pct.py \\
        UniDD=configs/unidd/faster-rcnn_digits_5pct.py --seeds 0 1 2 --work-dir work_dirs/table

Finished parts are kept: run the same command again to go on.
"""
import argparse

from mmengine.config import DictAction

from mmdd.apis import benchmark
from mmdd.utils.cli import run_cli


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('arms', nargs='+', metavar='NAME=CONFIG', help='arms of the table')
    parser.add_argument('--work-dir', default='work_dirs/benchmark')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2],
                        help='one student is trained for each arm and seed')
    parser.add_argument('--full', action='store_true',
                        help='train students on the full real set as well')
    parser.add_argument('--jobs', type=int, help='students trained at once (number of cores)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='change fields of every distillation config')
    return parser.parse_args()


def main():
    args = parse_args()
    arms = {}
    for arm in args.arms:
        name, _, config = arm.partition('=')
        if not config or name in arms:
            raise ValueError(f'{arm!r}: arms are given once each, as NAME=CONFIG')
        arms[name] = config
    benchmark(arms, args.work_dir, seeds=args.seeds, full=args.full, jobs=args.jobs,
              cfg_options=args.cfg_options)


if __name__ == '__main__':
    run_cli(main)
