"""Measure what a selection by features costs: time and peak memory.

    python tools/analysis_tools/benchmark_coresets.py
    python tools/analysis_tools/benchmark_coresets.py --num 118287 --dim 2048 --percent 1 \\
        --threads 8 --out coresets.md

Every coreset selects from the same random features, in a process of its own. The peak
is that of the process: interpreter and libraries (about 400 MiB) and features included.
"""
import argparse
import multiprocessing
import os
import time
from typing import List, Tuple

COLUMNS = ('coreset', 'images', 'dimensions', 'chosen', 'threads', 'seconds', 'peak MiB')
CORESETS = ('RandomCoreset', 'UniformCoreset', 'KCenterCoreset', 'HerdingCoreset')
THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=int, default=50000, help='real images')
    parser.add_argument('--dim', type=int, default=512, help='length of a feature')
    parser.add_argument('--percent', type=float, default=1., help='share to choose, in percent')
    parser.add_argument('--classes', type=int, default=20)
    parser.add_argument('--coresets', nargs='+', choices=CORESETS, default=list(CORESETS))
    parser.add_argument('--threads', type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument('--out', help='Markdown file for the table')
    return parser.parse_args()


def measure(kind: str, num: int, dim: int, percent: float, classes: int) -> Tuple[int, float, int]:
    """Select once in this process.

    Args:
        kind: Name of the coreset.
        num: Number of images.
        dim: Length of a feature.
        percent: Share to choose, in percent.
        classes: Number of classes, one for each image.

    Returns:
        tuple: Number of chosen images, seconds, peak MiB of the process.
    """
    import numpy as np
    import torch

    from mmdd import models
    from mmdd.structures import Ratio
    from mmdd.utils.timing import peak_memory
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.standard_normal((num, dim), np.float32))
    labels = list(rng.integers(0, classes, (num, 1)))
    proxy = dict(type='BackboneFeatures', cfg=dict(type='torchvision', name='squeezenet1_0'))
    coreset = getattr(models, kind)(proxy=proxy)
    coreset.classes = tuple(map(str, range(classes)))
    budget = Ratio(percent).resolve(num, classes)
    begin = time.perf_counter()
    chosen = coreset.select(features, labels, budget)
    seconds = time.perf_counter() - begin
    if len(set(chosen)) != budget:
        raise ValueError(f'{kind} chose {len(set(chosen))} images, not {budget}')
    return budget, seconds, peak_memory()


def _child(queue, *args) -> None:
    from mmdd.utils.compat import setup
    setup()
    queue.put(measure(*args))


def measure_apart(*args) -> Tuple[int, float, int]:
    """:func:`measure` in a process of its own.

    Raises:
        ValueError: If the process fails.
    """
    context = multiprocessing.get_context('spawn')
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue, *args))
    child.start()
    child.join()
    if child.exitcode:
        raise ValueError(f'{args[0]} failed, its message stands above')
    return queue.get()


def main():
    from mmdd.utils.io import atomic_write_text
    from mmdd.utils.table import markdown_table
    args = parse_args()
    if min(args.num, args.dim, args.classes, args.threads) < 1:
        raise ValueError('--num, --dim, --classes and --threads must be at least 1')
    for name in THREAD_VARIABLES:
        os.environ[name] = str(args.threads)
    rows: List[Tuple[str, ...]] = []
    for kind in args.coresets:
        chosen, seconds, peak = measure_apart(kind, args.num, args.dim, args.percent, args.classes)
        rows.append((kind, str(args.num), str(args.dim), str(chosen), str(args.threads),
                     f'{seconds:.2f}', str(peak)))
    table = markdown_table(COLUMNS, rows)
    print(table, end='')
    if args.out:
        atomic_write_text(args.out, table)
        print(f'table: {args.out}')


if __name__ == '__main__':
    from mmdd.utils.cli import run_cli
    run_cli(main)
