"""Write the soft labels of a set with the teacher of a student protocol.

    python tools/relabel.py configs/_base_/models/resnet18.py \\
        configs/_base_/datasets/imagenette_cls.py configs/_base_/protocols/fkd_soft.py \\
        --set work_dirs/mine/distilled --out work_dirs/mine/soft_labels

The size is printed first. Finished epochs are kept, so the same command resumes.
Students read the labels with protocol.schedule.labels=<out>; without it
tools/evaluate.py writes them under its work dir.
"""
import argparse

from mmdd.utils.arguments import CfgOptions, ToolParser
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('protocol', nargs='+',
                        help='student protocol, or its parts: model, dataset, protocol')
    parser.add_argument('--set', required=True, metavar='FOLDER', dest='set_folder',
                        help='the distilled set, or "full" for the real one')
    parser.add_argument('--out', metavar='FOLDER', help='where the labels go')
    parser.add_argument('--dry-run', action='store_true',
                        help='only say how large the labels will be')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change fields of the protocol, e.g. protocol.schedule.topk=10')
    args = parser.parse_args()
    if not args.out and not args.dry_run:
        parser.error('the following arguments are required: --out')
    return args


def main():
    args = parse_args()
    from mmdd.protocols.teacher import describe_soft_labels, ensure_soft_labels
    protocol = args.protocol[0] if len(args.protocol) == 1 else args.protocol
    if args.dry_run:
        print(describe_soft_labels(protocol, args.set_folder, args.cfg_options))
        return
    folder = ensure_soft_labels(protocol, args.set_folder, args.out, args.cfg_options)
    print(f'soft labels: {folder}')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
