"""Look at a folder of your own data and write the configs of a job for it.

    python tools/init.py data/flowers
    python tools/init.py data/blood --task det --out jobs/blood

Reads class folders, VOC XML, COCO JSON (also of Roboflow) and masks; says what it found, and
writes configs, lists of images and a README with the next commands into the folder of the job.
Nothing is written into the data. See docs/own_data.md.
"""
import argparse
import shlex

from mmdd.utils.arguments import ToolParser, seed, whole
from mmdd.utils.cli import run_cli
from mmdd.utils.paths import tool_command


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', help='folder of the data')
    parser.add_argument('--task', default='auto', choices=['auto', 'cls', 'det', 'seg'],
                        help='what the labels are for; what the files tell by default')
    parser.add_argument('--out', help='folder of the job (work_dirs/<name of the data>_job)')
    parser.add_argument('--classes', nargs='+', metavar='NAME',
                        help='class names: of the sorted class folders, of the values of masks '
                             'from 0, or the boxes to keep')
    parser.add_argument('--device', default='auto', choices=['auto', 'cpu', 'cuda'],
                        help='what the networks are sized for (auto: what is there)')
    parser.add_argument('--updates', type=whole(40), metavar='N',
                        help='updates of the proxy, a student gets half of them (what suits task '
                             'and device); 100 for a first table within minutes')
    parser.add_argument('--seed', type=seed, default=0,
                        help='seed of the validation split that is made where there is none (0)')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmdd.starter.init_job import init_job
    out, lines = init_job(args.data, args.out, args.task, args.classes, args.device, args.seed,
                          args.updates)
    print('\n'.join(lines))
    print(f'next: {tool_command("distill")} {shlex.quote(out)}/unidd.py --dry-run')


if __name__ == '__main__':
    run_cli(main)
