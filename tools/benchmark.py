"""Distill with several configs, train students on each set, write tables, plots and a report.

    python tools/benchmark.py --suite digits --work-dir work_dirs/digits_benchmark
    python tools/benchmark.py UniDD=configs/unidd/faster-rcnn_voc_1pct.py \\
        Uniform=configs/coreset/uniform_faster-rcnn_voc_1pct.py --sets 3 --seeds 0 1 2 3 4

Methods with the same student protocol share a table. A random baseline of the same budget is
added where there is none. Finished parts are kept: the same command resumes. Sets go to
<work dir>/<method>/seed<k>, so a set may as well be made there earlier by
tools/dist_distill.sh with model.seed=<k>. UniDD's tables are means over --sets 3 and
--seeds 0 1 2 3 4. Writes results.json, results.md, plots/ and report.html.

    python tools/benchmark.py --compare BEFORE/results.json AFTER/results.json

prints what changed between two runs: every figure, and the settings, sets and versions behind it.
"""
import argparse
import os.path as osp
import shlex
import sys

from mmdd.utils.arguments import CfgOptions, ToolParser, seed, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('methods', nargs='*', metavar='[NAME=]CONFIG',
                        help='methods of the tables')
    parser.add_argument('--suite', help='a suite file, or the name of one in configs/benchmarks')
    parser.add_argument('--only', nargs='+', metavar='GROUP', help='groups of the suite to do')
    parser.add_argument('--work-dir', help='where everything goes (work_dirs/benchmark_<suite>)')
    parser.add_argument('--sets', type=whole(1),
                        help='sets per method, model.seed 0, 1, ... (1); one where no seed '
                             'changes the selection')
    parser.add_argument('--seeds', type=seed, nargs='+',
                        help='one student is trained for each set and seed (0 1 2)')
    parser.add_argument('--full', action='store_true',
                        help='train students on the full real set as well')
    parser.add_argument('--full-seeds', type=seed, nargs='+',
                        help='seeds of these students, the slowest ones (as --seeds)')
    parser.add_argument('--students', nargs='+', metavar='NAME',
                        help='more students of evaluation.students or of the suite: names, or '
                             'all')
    parser.add_argument('--jobs', type=whole(0),
                        help='students at once (one per GPU, or per CPU core); 0: no workers')
    parser.add_argument('--embedding', default='tsne', choices=['tsne', 'umap', 'none'],
                        help='map of real and distilled features')
    parser.add_argument('--dry-run', action='store_true',
                        help='say what would be done, what is finished and how long the rest '
                             'may take')
    parser.add_argument('--compare', nargs=2, metavar=('A', 'B'),
                        help='print what changed between two results.json')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE',
                        help='change fields of every distillation config')
    return parser.parse_args()


def read_methods(args):
    """The suite, or the methods of the command line, and the settings that go with them."""
    from mmdd.benchmark.methods import config_title
    from mmdd.benchmark.suite import read_suite
    if bool(args.methods) == bool(args.suite):
        raise ValueError('give either configs or --suite NAME')
    if args.suite:
        suite = read_suite(args.suite, args.cfg_options)
        names = [group.name for group in suite['groups']]
        for name in args.only or []:
            if name not in names:
                raise ValueError(f'--only {name}: the suite has the groups {", ".join(names)}')
        if args.only:
            suite['groups'] = [group for group in suite['groups'] if group.name in args.only]
        return suite.pop('groups'), suite
    if args.only:
        raise ValueError('--only goes with --suite')
    methods = {}
    for method in args.methods:
        name, found, config = method.partition('=')
        name, config = (name, config) if found else (config_title(method), method)
        if not name or not config or name in methods:
            raise ValueError(f'{method!r}: methods are given once each, as CONFIG or NAME=CONFIG')
        methods[name] = config
    return methods, dict(title='Benchmark')


def compare(before, after):
    """Print what changed between two benchmarks."""
    from mmdd.benchmark.report.compare import compare_figures, compare_settings
    from mmdd.benchmark.results import Results
    a, b = Results.read(before), Results.read(after)
    compare_figures(a, b).print(f'A: {before}, B: {after}')
    print('\n'.join(compare_settings(a, b) or ['nothing else differs']))


def main():
    args = parse_args()
    if args.compare:
        compare(*args.compare)
        return
    from mmdd.benchmark.dry_run import describe_benchmark
    from mmdd.benchmark.run import benchmark, make_plan
    from mmdd.utils.feature_plane import check_embedding
    embedding = None if args.embedding == 'none' else args.embedding
    check_embedding(embedding)
    methods, settings = read_methods(args)

    def setting(name, default):
        given = getattr(args, name)
        return settings.get(name, default) if given is None else given

    suite = osp.splitext(osp.basename(args.suite or ''))[0]
    work_dir = args.work_dir or osp.join(
        'work_dirs', f'benchmark_{suite}' if suite else 'benchmark')
    sets, seeds = setting('sets', 1), setting('seeds', [0, 1, 2])
    full_seeds, students = setting('full_seeds', None), setting('students', 'default')
    if students in (['all'], ['default']):
        students = students[0]
    if args.dry_run:
        plan = make_plan(methods, work_dir, sets, args.cfg_options)
        print('\n'.join(describe_benchmark(plan, work_dir, seeds, students, args.full,
                                           full_seeds, args.jobs)))
        return
    benchmark(methods, work_dir, seeds=seeds, full=args.full, jobs=args.jobs,
              cfg_options=args.cfg_options, full_seeds=full_seeds, sets=sets, students=students,
              embedding=embedding, title=settings['title'],
              command=shlex.join(['python', 'tools/benchmark.py'] + sys.argv[1:]))


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
