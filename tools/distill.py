"""Distill a dataset.

    python tools/distill.py configs/unidd/faster-rcnn_digits_5pct.py

Trains the proxy first where its checkpoint is missing. The distilled set goes
to <work-dir>/distilled; add --resume to resume an interrupted job. With --shard I/N, for I from
0 to N-1, jobs of their own make a part each, see docs/slurm.md. With --dry-run every step
runs on a few images with tiny random networks, in under a minute.
"""
import argparse
import os

from mmdd.utils.arguments import CfgOptions, ToolParser, whole
from mmdd.utils.cli import ADD_RESUME, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a distiller or a coreset')
    parser.add_argument('--work-dir', help='where everything goes (work_dirs/<config name>)')
    parser.add_argument('--resume', action='store_true',
                        help='resume the interrupted job in the work dir; without one, start it')
    part = parser.add_mutually_exclusive_group()
    part.add_argument('--shard', metavar='I/N',
                      help='make the part I (from 0) of N of the images, beside other jobs with '
                           'the same --work-dir; the last one writes the set')
    part.add_argument('--merge', action='store_true',
                      help='make no image, write the set of shards that are finished')
    parser.add_argument('--dry-run', action='store_true',
                        help='try every step on a few images with tiny random networks; keeps '
                             'what it makes only where --work-dir is given')
    parser.add_argument('--seconds-per-image', metavar='S',
                        help='with --dry-run: also say how long the job will sample, at so many '
                             'seconds per image, or at those of an earlier set, given its folder')
    parser.add_argument('--gpus', type=whole(1), default=1,
                        help='GPUs that --seconds-per-image counts with (1)')
    parser.add_argument('--preview', action='store_true',
                        help='show small pictures of what is made in the terminal')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change config fields, e.g. model.seed=1 train_cfg.batch_size=4')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        help='how processes were started; see tools/dist_distill.sh')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.seconds_per_image is not None and not args.dry_run:
        parser.error('argument --seconds-per-image: add --dry-run')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    if args.dry_run:
        from mmdd.starter.projection import read_pace
        from mmdd.starter.rehearsal import dry_distill
        pace = (None if args.seconds_per_image is None else
                read_pace(args.seconds_per_image, args.gpus))
        print('\n'.join(dry_distill(args.config, args.work_dir, args.cfg_options, pace)))
        return
    from mmdd.apis import distill
    options = dict(args.cfg_options or {})
    if args.preview:
        options['default_hooks.preview'] = dict(type='TerminalPreviewHook')
    distill(args.config, work_dir=args.work_dir, resume=args.resume,
            cfg_options=options, launcher=args.launcher, shard=args.shard,
            merge=args.merge)


if __name__ == '__main__':
    run_cli(main, ADD_RESUME)
