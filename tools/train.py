"""Train a proxy, a student, or any stock mm* config.

    python tools/train.py configs/_base_/proxies/faster-rcnn_digits.py

The data and checkpoints that the config asks for in `prepare` are made first.
"""
import argparse
import os
import os.path as osp

from mmdd.utils.arguments import CfgOptions, ToolParser, seed
from mmdd.utils.cli import ADD_RESUME, run_cli
from mmdd.utils.config import load_config, merge_options


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or mmdet::..., mmpretrain::..., mmseg::...')
    parser.add_argument('--work-dir', help='where everything goes (work_dirs/<config name>)')
    parser.add_argument('--resume', nargs='?', const=True, default=False, metavar='CHECKPOINT',
                        help='resume from the last checkpoint of the work dir, or from this one')
    parser.add_argument('--seed', type=seed, help='random seed (the config\'s)')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change config fields, e.g. train_cfg.max_iters=100')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        help='how processes were started; see tools/dist_train.sh')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    from mmdd.apis import train
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    if args.launcher is not None:
        cfg.launcher = args.launcher
    name = osp.splitext(osp.basename(args.config))[0]
    work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    train(cfg, work_dir, seed=args.seed, resume=args.resume)


if __name__ == '__main__':
    run_cli(main, ADD_RESUME)
