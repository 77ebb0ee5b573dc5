"""Several methods side by side: distill each, train students on all, one table."""
import os
import os.path as osp
import time
from typing import Dict, List, Optional, Sequence

from mmdd.utils.config import load_config
from mmdd.utils.quiet import quiet
from .distill import distill


def distill_arms(arms: Dict[str, str],
                 work_dir: str,
                 cfg_options: Optional[dict] = None) -> Dict[str, str]:
    """Distill every arm, or go on with it, with a short progress display.

    Args:
        arms: Config file by name of the arm.
        work_dir: Each arm works in ``<work_dir>/<name>``; the full output of
            all is in ``<work_dir>/distill.log``.
        cfg_options: Dotted options merged into every config.

    Returns:
        dict: Folder of the distilled set by name of the arm.
    """
    os.makedirs(work_dir, exist_ok=True)
    sets = {}
    for number, (name, config) in enumerate(arms.items(), 1):
        begin = time.perf_counter()
        print(f'[{number}/{len(arms)}] distilling {name}: {config}', flush=True)
        with quiet(osp.join(work_dir, 'distill.log')):
            sets[name] = distill(config, work_dir=osp.join(work_dir, folder_name(name)),
                                 resume=True, cfg_options=cfg_options)
        print(f'    {sets[name]} ({time.perf_counter() - begin:.0f} s)', flush=True)
    return sets


def folder_name(name: str) -> str:
    """The name of an arm as a folder: letters, digits and dashes."""
    return ''.join(c if c.isalnum() else '-' for c in name.lower()).strip('-')


def benchmark(arms: Dict[str, str],
              work_dir: str,
              seeds: Sequence[int] = (0, 1, 2),
              full: bool = False,
              jobs: Optional[int] = None,
              cfg_options: Optional[dict] = None,
              full_seeds: Optional[Sequence[int]] = None) -> List[dict]:
    """Distill every arm, train students on each and tabulate their metrics.

    Everything that is finished is kept and skipped in the next run.

    Args:
        arms: Config file by name of the arm; all must name one evaluation
            protocol.
        work_dir: Where everything goes; results in ``results.json`` and
            ``results.md``.
        seeds: One student is trained for each arm and seed.
        full: Whether to train students on the full real set as well.
        jobs: Students that are trained at once; as many as there are cores
            if None.
        cfg_options: Dotted options merged into every distillation config.
        full_seeds: Seeds of the full real set, the slowest arm; ``seeds`` if None.

    Returns:
        list[dict]: Rows of the table.

    Raises:
        ValueError: If the arms do not share a protocol.
    """
    from .evaluate import evaluate
    protocols = {load_config(config).get('evaluation', {}).get('protocol')
                 for config in arms.values()}
    if len(protocols) != 1 or None in protocols:
        raise ValueError(f'all configs must name one evaluation.protocol, got {protocols}')
    sets = distill_arms(arms, work_dir, cfg_options)
    if full:
        sets['Full'] = 'full'
    return evaluate(protocols.pop(), sets, osp.join(work_dir, 'students'), seeds=seeds, jobs=jobs,
                    full_seeds=full_seeds)
