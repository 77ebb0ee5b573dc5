"""From sets to a table of what students learn from them."""
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.engine.prepare import prepare
from mmdd.protocols.adapters import read_manifest
from mmdd.protocols.protocol import FULL, protocol_classes, read_protocol, set_content
from mmdd.protocols.settings import protocol_settings
from mmdd.protocols.student import (
    Sets,
    describe_runs,
    evaluate_sets,
    method_folders,
    missing_random,
    plan_runs,
    train_runs,
)
from mmdd.protocols.summary import write_report
from mmdd.utils.config import ConfigType, load_config, merge_options
from mmdd.utils.jobs import run_jobs

NO_RANDOM = ('No baseline of random real images: a protocol alone does not say how the real set '
             'is distilled. Give a distillation config that names it in evaluation.protocol, or '
             'add the set of a RandomCoreset to the sets.')


def evaluate(protocol: ConfigType,
             sets: Sets,
             work_dir: str,
             seeds: Sequence[int] = (0, 1, 2),
             jobs: Optional[int] = None,
             cfg_options: Optional[Dict[str, Any]] = None,
             full_seeds: Optional[Sequence[int]] = None,
             random: bool = True,
             lr_grid: Optional[Sequence[float]] = None) -> List[Dict[str, Any]]:
    """Train students on every set, test them on real data, write the table.

    Args:
        protocol: Student protocol, or a distillation config that names one in
            ``evaluation.protocol``.
        sets: Folder of each set by name, or the folders of several generated sets of one
            method; 'full' for the protocol's real set.
        work_dir: Where ``results.json``, ``results.md`` and the runs go. Finished
            runs are skipped, so calling it again goes on where it stopped.
        seeds: One student is trained per set and seed.
        jobs: Students that are trained at once; as many as there are GPUs, or
            CPU cores, if None.
        cfg_options: Dotted options merged into the protocol.
        full_seeds: Seeds of the full real set, which is the slowest; ``seeds`` if None.
        random: Whether to add a baseline of random real images for each size that has none.
            Takes a distillation config; its real set and writer are used. The sets are kept
            in ``<work_dir>/random``.
        lr_grid: Learning rates of which each method takes the best, see
            :func:`mmdd.protocols.student.pick_rates`.

    Returns:
        list[dict]: One row per method, see :func:`mmdd.protocols.summarize`.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a run failed; the
            finished runs are in the report then.
    """
    from mmdd.protocols.teacher import ensure_teacher
    source = load_config(protocol)
    cfg = with_options(source if source.get('evaluation') else protocol, cfg_options)
    for _, folder in method_folders(sets):
        if folder != FULL:  # which may not be prepared yet
            set_content(cfg, folder)
    prepare(cfg)
    cfg = ensure_teacher(cfg, work_dir)
    notes: List[str] = []
    if random:
        sets, notes = with_random(source, cfg, sets, work_dir, jobs)
    runs = plan_runs(sets, cfg, work_dir, seeds, full_seeds)
    for line in describe_runs(runs) + notes:
        print(line, flush=True)
    results = train_runs(runs, jobs) if not lr_grid else evaluate_sets(
        sets, cfg, work_dir, seeds, jobs, full_seeds, lr_grid)
    rows = write_report(results, work_dir, f'Students, {len(seeds)} seeds',
                        protocol_settings(runs, cfg.protocol.task), notes)
    failed = [result for result in results if 'error' in result]
    if failed:
        raise ValueError(f'{len(failed)} of {len(results)} runs failed; the first: '
                         f'{failed[0]["method"]} seed {failed[0]["seed"]}: {failed[0]["error"]}; '
                         f'see {failed[0]["log"]}')
    return rows


def with_options(protocol: ConfigType, cfg_options: Optional[Dict[str, Any]]) -> Config:
    """A protocol with dotted options merged into it, checked with them."""
    cfg = read_protocol(protocol)
    merge_options(cfg, cfg_options)
    return read_protocol(cfg)


def with_random(source: Config, protocol: Config, sets: Sets, work_dir: str,
                jobs: Optional[int] = None) -> Tuple[Dict[str, Any], List[str]]:
    """Add a baseline of random real images for every size of set that has none.

    Args:
        source: Distillation config whose real set is drawn from.
        protocol: See :func:`read_protocol`.
        sets: See :func:`evaluate`.
        work_dir: The sets go to ``<work_dir>/random/<budget>_seed<k>``; those that are
            there are used.
        jobs: 0 distills in this process.

    Returns:
        tuple: The sets with the new methods, and lines that say what was done or why not.

    Raises:
        ValueError: If a random set cannot be made.
    """
    missing = missing_random(sets, protocol)
    if not missing:
        return dict(sets), []
    if source.get('train_dataloader') is None or (source.get('train_cfg') or {}).get(
            'writer') is None:
        return dict(sets), [NO_RANDOM]
    folders: Dict[str, List[str]] = {}
    for method, folder in method_folders(sets):
        folders.setdefault(method, []).append(folder)
    budgets = {method: random_budget(protocol, folders[method][0], images)
               for method, images in missing.items()}
    added, notes = dict(sets), []
    for images in sorted(set(missing.values())):
        methods = [method for method in missing if missing[method] == images]
        # An IPC budget draws from each class, which is the harder opponent.
        budget = next((budgets[method] for method in methods if budgets[method]['type'] == 'IPC'),
                      budgets[methods[0]])
        name = 'Random' if len(set(missing.values())) == 1 else f'Random, {images} images'
        while name in added:
            name += ' (added)'
        number = max(len(folders[method]) for method in methods)
        made = _random_sets(source, budget, number, work_dir, jobs)
        added[name] = made if number > 1 else made[0]
        notes.append(f'{name}: {images} real images drawn at random '
                     f'({budget["type"]} {budget["n"]}), added beside {", ".join(methods)}.')
    return added, notes


def random_budget(protocol: Config, folder: str, images: int) -> Dict[str, Any]:
    """Budget of the random set of a set: its IPC where its manifest says so, else its size."""
    classes = len(protocol_classes(protocol) or ())
    asked = str(read_manifest(folder).get('budget', ''))
    if asked.startswith('IPC') and classes and images % classes == 0:
        return dict(type='IPC', n=images // classes)
    return dict(type='Total', n=images)


def _random_sets(source: Config, budget: Dict[str, Any], number: int, work_dir: str,
                 jobs: Optional[int]) -> List[str]:
    """Make random sets unless they are there; returns their folders."""
    from mmdd.benchmark.distillation import distill_job
    from mmdd.benchmark.random_baseline import random_twin
    twin = random_twin(source)
    twin.train_cfg.budget = budget
    twin.train_cfg.pop('out_dir', None)
    stem = osp.join(work_dir, 'random', f'{budget["type"].lower()}{budget["n"]}')
    # Without a target: whether a set that is there is of this config, the distillation says.
    made = [replace(distill_job(
        f'random real images, {osp.basename(stem)}_seed{seed}', twin.to_dict(),
        f'{stem}_seed{seed}', {'model.seed': seed}, ''), target=None, threads=None)
        for seed in range(number)]
    errors = run_jobs(made, min(1, 1 if jobs is None else jobs))
    for job in made:
        if job.name in errors:
            raise ValueError(f'the random baseline cannot be made: {errors[job.name]}; see '
                             f'{job.log}; --no-random leaves it out')
    return [osp.join(job.name, 'distilled') for job in made]
