"""From sets to a table of what students learn from them."""
import os.path as osp
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.manifest import read_manifest
from mmdd.engine.prepare import prepare
from mmdd.protocols.protocol import FULL, protocol_classes, read_protocol, set_content
from mmdd.protocols.settings import protocol_settings
from mmdd.protocols.student import (
    Sets,
    arm_folders,
    describe_runs,
    evaluate_sets,
    missing_random,
    plan_runs,
)
from mmdd.protocols.summary import write_report
from mmdd.utils.config import ConfigType, load_config, merge_options

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
            arm; 'full' for the protocol's real set.
        work_dir: Where ``results.json``, ``results.md`` and the runs go. Finished
            runs are skipped, so calling it again goes on where it stopped.
        seeds: One student is trained per set and seed.
        jobs: Students that are trained at once; as many as there are GPUs, or
            CPU cores, if None.
        cfg_options: Dotted options merged into the protocol.
        full_seeds: Seeds of the arm 'full', which is the slowest; ``seeds`` if None.
        random: Whether to add an arm of random real images for each size that has none.
            Takes a distillation config; its real set and writer are used. The sets are kept
            in ``<work_dir>/random``.
        lr_grid: Learning rates of which each arm takes the best, see
            :func:`mmdd.protocols.student.pick_rates`.

    Returns:
        list[dict]: One row per arm, see :func:`mmdd.protocols.summarize`.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a run failed; the
            finished runs are in the report then.
    """
    from mmdd.protocols.teacher import ensure_teacher
    source = load_config(protocol)
    cfg = with_options(source if source.get('evaluation') else protocol, cfg_options)
    for _, folder in arm_folders(sets):
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
    results = evaluate_sets(sets, cfg, work_dir, seeds, jobs, full_seeds, lr_grid)
    rows = write_report(results, work_dir, f'Students, {len(seeds)} seeds',
                        protocol_settings(runs, cfg.protocol.task), notes)
    failed = [result for result in results if 'error' in result]
    if failed:
        raise ValueError(f'{len(failed)} of {len(results)} runs failed; the first: '
                         f'{failed[0]["arm"]} seed {failed[0]["seed"]}: {failed[0]["error"]}; '
                         f'see {failed[0]["log"]}')
    return rows


def with_options(protocol: ConfigType, cfg_options: Optional[Dict[str, Any]]) -> Config:
    """A protocol with dotted options merged into it, checked with them."""
    cfg = read_protocol(protocol)
    merge_options(cfg, cfg_options)
    return read_protocol(cfg)


def with_random(source: Config, protocol: Config, sets: Sets, work_dir: str,
                jobs: Optional[int] = None) -> Tuple[Dict[str, Any], List[str]]:
    """Add an arm of random real images for every size of set that has none.

    Args:
        source: Distillation config whose real set is drawn from.
        protocol: See :func:`read_protocol`.
        sets: See :func:`evaluate`.
        work_dir: The sets go to ``<work_dir>/random/<budget>_seed<k>``; those that are
            there are used.
        jobs: 0 distills in this process.

    Returns:
        tuple: The sets with the new arms, and lines that say what was done or why not.

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
    for arm, folder in arm_folders(sets):
        folders.setdefault(arm, []).append(folder)
    budgets = {arm: random_budget(protocol, folders[arm][0], images)
               for arm, images in missing.items()}
    added, notes = dict(sets), []
    for images in sorted(set(missing.values())):
        arms = [arm for arm in missing if missing[arm] == images]
        # An IPC budget draws from each class, which is the harder opponent.
        budget = next((budgets[arm] for arm in arms if budgets[arm]['type'] == 'IPC'),
                      budgets[arms[0]])
        name = 'Random' if len(set(missing.values())) == 1 else f'Random, {images} images'
        while name in added:
            name += ' (added)'
        number = max(len(folders[arm]) for arm in arms)
        made = [_random_set(source, budget, seed, work_dir, jobs) for seed in range(number)]
        added[name] = made if number > 1 else made[0]
        notes.append(f'{name}: {images} real images drawn at random '
                     f'({budget["type"]} {budget["n"]}), added beside {", ".join(arms)}.')
    return added, notes


def random_budget(protocol: Config, folder: str, images: int) -> Dict[str, Any]:
    """Budget of the random set of a set: its IPC where its manifest says so, else its size."""
    classes = len(protocol_classes(protocol) or ())
    asked = str(read_manifest(folder).get('budget', ''))
    if asked.startswith('IPC') and classes and images % classes == 0:
        return dict(type='IPC', n=images // classes)
    return dict(type='Total', n=images)


def _random_set(source: Config, budget: Dict[str, Any], seed: int, work_dir: str,
                jobs: Optional[int]) -> str:
    """Make one random set unless it is there; returns its folder."""
    from mmdd.benchmark.isolated import distill_isolated
    from mmdd.benchmark.random_baseline import random_twin
    twin = random_twin(source)
    twin.train_cfg.budget = budget
    twin.train_cfg.pop('out_dir', None)
    twin.model.seed = seed
    name = f'{budget["type"].lower()}{budget["n"]}_seed{seed}'
    place = osp.join(work_dir, 'random', name)
    folder = osp.join(place, 'distilled')
    print(f'random real images, {name}: {folder}', flush=True)
    error = distill_isolated(twin.to_dict(), place, spawn=jobs != 0)
    if error:
        raise ValueError(f'the random baseline cannot be made: {error}; --no-random leaves it out')
    return folder
