"""Measure what a selection by features costs as the real set grows: time and peak memory.

    python tools/analysis_tools/benchmark_coresets.py
    python tools/analysis_tools/benchmark_coresets.py --num 1281167 --ipc 10 --classes 1000
    python tools/analysis_tools/benchmark_coresets.py --num 50000 250000 1281167 --percent 1 \\
        --features clusters --coresets KCenterCoreset --out coresets.md

Every coreset selects from the same features in a file, in a process of its own. The peak is
that of the process: interpreter and libraries (about 400 MiB) and what it reads of the file
included. Growth is that of the CPU seconds from the size before. 'noise' is isotropic: no
structure that a selection could use. 'clusters' are Gaussians, as many as classes, that spread
as far as their means, and 'decay' such whose variances fall like 1/rank, as those of networks
do. The references are written as in DeepCore: every choice measures all that is left; they run
up to --reference images.
"""
import argparse
import multiprocessing
import os
import os.path as osp
import tempfile
import time
from typing import List, Optional, Tuple

COLUMNS = ('coreset', 'features', 'images', 'dimensions', 'chosen', 'threads', 'seconds',
           'CPU seconds', 'growth', 'peak MiB')
CORESETS = ('RandomCoreset', 'UniformCoreset', 'KCenterCoreset', 'HerdingCoreset',
            'FacilityLocationCoreset')
REFERENCES = ('KCenterReference', 'HerdingReference')
DEFAULT = CORESETS[:4] + REFERENCES
THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')
# Rows that are written to a file of features at a time.
ROWS = 8192


def parse_args():
    from mmdd.utils.arguments import ToolParser, real, whole
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num', type=whole(1), nargs='+', default=[50000], help='real images')
    parser.add_argument('--dim', type=whole(1), default=512, help='length of a feature')
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument('--percent', type=real(above=0, high=100), default=1.,
                        help='share to choose over all classes, in percent')
    budget.add_argument('--ipc', type=whole(1), help='images to choose in each class')
    parser.add_argument('--classes', type=whole(1), default=20)
    parser.add_argument('--features', choices=('noise', 'clusters', 'decay'), default='noise')
    parser.add_argument('--dtype', choices=('float16', 'float32'), default='float16')
    parser.add_argument('--coresets', nargs='+', choices=CORESETS + REFERENCES,
                        default=list(DEFAULT))
    parser.add_argument('--reference', type=whole(1), default=50000,
                        help='the references select from at most so many images')
    parser.add_argument('--threads', type=whole(1), default=min(2, os.cpu_count() or 1))
    parser.add_argument('--folder', help='where the features are written; a temporary folder')
    parser.add_argument('--out', help='Markdown file for the table')
    return parser.parse_args()


def write_features(path: str, kind: str, num: int, dim: int, classes: int, dtype: str) -> None:
    """Write random features (num, dim) to a ``.npy`` file, a few rows at a time."""
    import numpy as np
    rng = np.random.default_rng(0)
    means = rng.standard_normal((classes, dim), np.float32)
    deviations = (1 + np.arange(dim, dtype=np.float32))**-.5
    labels = labels_of(num, classes)
    store = np.lib.format.open_memmap(path, 'w+', np.dtype(dtype), (num, dim))
    for begin in range(0, num, ROWS):
        own = labels[begin:begin + ROWS]
        values = rng.standard_normal((len(own), dim), np.float32)
        if kind != 'noise':
            values += means[own]
        store[begin:begin + ROWS] = values * deviations if kind == 'decay' else values
    store.flush()


def labels_of(num: int, classes: int):
    """The class of each image, (num,)."""
    import numpy as np
    return np.random.default_rng(1).integers(0, classes, num)


def k_center_reference(features, num: int) -> List[int]:
    """K-Center as in DeepCore: distances of all that are left to each center, in fp32."""
    import torch
    mean = features.mean(0)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = [int((features - mean).norm(dim=1).argmin())]
    nearest = torch.full((len(features), ), float('inf'))
    while len(chosen) < num:
        taken[chosen[-1]] = True
        distances = torch.cdist(features[chosen[-1:]], features[~taken])[0]
        nearest[~taken] = torch.minimum(nearest[~taken], distances)
        nearest[chosen[-1]] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


def herding_reference(features, num: int) -> List[int]:
    """Herding as in DeepCore, but towards the mean, in fp32."""
    import torch
    features = torch.nn.functional.normalize(features)
    mean, indices = features.mean(0), torch.arange(len(features))
    taken = torch.zeros(len(features), dtype=torch.bool)
    for k in range(1, num + 1):
        target = k * mean - features[taken].sum(0)
        distances = torch.cdist(target[None], features[~taken])[0]
        taken[indices[~taken][distances.argmin()]] = True
    return indices[taken].tolist()


def measure(kind: str, path: str, classes: int, percent: float,
            ipc: Optional[int]) -> Tuple[int, float, float, int]:
    """Select once in this process.

    Args:
        kind: Name of the coreset or of a reference.
        path: File of the features (N, D).
        classes: Number of classes, one for each image.
        percent: Share to choose over all classes, in percent.
        ipc: Images to choose in each class instead.

    Returns:
        tuple: Number of chosen images, seconds, CPU seconds, peak MiB of the process.

    Raises:
        ValueError: If it chooses another number of images.
    """
    import numpy as np
    import torch

    from mmdd.structures import IPC, Ratio
    from mmdd.utils.timing import peak_memory
    select = selection(kind, classes)
    begin, work = time.perf_counter(), time.process_time()
    features = torch.from_numpy(np.load(path, mmap_mode='c'))
    labels = list(labels_of(len(features), classes)[:, None])
    budget = Ratio(percent) if ipc is None else IPC(ipc)
    total = budget.resolve(len(features), classes)
    chosen: List[int] = []
    for members, quota in budget.groups(labels, classes, total):
        own = features if len(members) == len(features) else features[torch.from_numpy(members)]
        chosen += members[select(own, [labels[i] for i in members], quota)].tolist()
    seconds, work = time.perf_counter() - begin, time.process_time() - work
    if len(set(chosen)) != total:
        raise ValueError(f'{kind} chose {len(set(chosen))} images, not {total}')
    return total, seconds, work, peak_memory()


def selection(kind: str, classes: int):
    """``select(features, labels, budget)`` of a coreset or of a reference."""
    if kind in REFERENCES:
        rule = k_center_reference if kind == 'KCenterReference' else herding_reference
        return lambda features, labels, budget: rule(features.float(), budget)
    from mmdd import models
    proxy = dict(type='BackboneFeatures', cfg=dict(type='torchvision', name='squeezenet1_0'))
    coreset = getattr(models, kind)(proxy=proxy)
    coreset.classes = tuple(map(str, range(classes)))
    return coreset.select


def _child(queue, function, *args) -> None:
    from mmdd.utils.cli import one_line
    from mmdd.utils.compat import setup
    setup()
    try:
        queue.put((function(*args), ''))
    except (ValueError, OSError) as error:
        queue.put((None, one_line(error)))


def apart(function, *args):
    """What a function returns in a process of its own.

    Raises:
        ValueError: If the process fails.
    """
    context = multiprocessing.get_context('spawn')
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue, function, *args))
    child.start()
    child.join()
    if child.exitcode:
        raise ValueError(f'{function.__name__} failed for {args[0]}, its message stands above')
    result, fault = queue.get()
    if fault:
        raise ValueError(f'{args[0]}: {fault}')
    return result


def measure_all(args, folder: str) -> List[Tuple[str, ...]]:
    """One row of the table for every size and coreset."""
    rows: List[Tuple[str, ...]] = []
    before: dict = {}
    for num in args.num:
        path = osp.join(folder, f'{args.features}_{num}x{args.dim}.npy')
        apart(write_features, path, args.features, num, args.dim, args.classes, args.dtype)
        for kind in args.coresets:
            if kind in REFERENCES and num > args.reference:
                continue
            chosen, seconds, work, peak = apart(
                measure, kind, path, args.classes, args.percent, args.ipc)
            growth = f'x {work / before[kind]:.1f}' if kind in before else '-'
            before[kind] = work
            rows.append((kind, args.features, str(num), str(args.dim), str(chosen),
                         str(args.threads), f'{seconds:.2f}', f'{work:.2f}', growth, str(peak)))
            print(' | '.join(rows[-1]), flush=True)
        os.unlink(path)
    return rows


def main():
    from mmdd.utils.io import atomic_write_text
    from mmdd.utils.table import markdown_table
    args = parse_args()
    for name in THREAD_VARIABLES:
        os.environ[name] = str(args.threads)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        table = markdown_table(COLUMNS, measure_all(args, folder))
    print(table, end='')
    if args.out:
        atomic_write_text(args.out, table)
        print(f'table: {args.out}')


if __name__ == '__main__':
    from mmdd.utils.cli import run_cli
    run_cli(main)
