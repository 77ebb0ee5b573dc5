"""The baseline that always stands beside a method: random real images at the same budget."""
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from mmdd.datasets.manifest import read_manifest
from mmdd.engine.worker_jobs import distill_job
from mmdd.protocols.protocol import protocol_classes
from mmdd.protocols.student import Sets, missing_random
from mmdd.registry import MODELS
from mmdd.utils.components import class_of
from mmdd.utils.config import ConfigType, load_config, plain
from mmdd.utils.grouping import grouped
from mmdd.utils.jobs import run_jobs

RANDOM = 'Random'
NO_RANDOM = ('No baseline of random real images: a protocol alone does not say how the real set '
             'is distilled. Give a distillation config that names it in evaluation.protocol, or '
             'add the set of a RandomCoreset to the sets.')


def is_random(cfg: Config) -> bool:
    """Whether a distillation config draws random real images."""
    from mmdd.models.coresets import RandomCoreset
    return class_of(MODELS, cfg.model) is RandomCoreset


def random_job(config: ConfigType) -> Config:
    """A distillation job with ``RandomCoreset`` as the model.

    Nothing else differs but the loop's pace: real set, budget, writer and evaluation stay.
    """
    cfg = load_config(config)
    job = Config(cfg.to_dict())
    job.model = dict(type='RandomCoreset')
    job.train_cfg = dict(type='DistillLoop', budget=cfg.train_cfg.budget,
                         writer=cfg.train_cfg.writer, batch_size=64, max_rounds=1)
    job.custom_hooks = []
    job.pop('work_dir', None)
    return job


def same_budget(a: Config, b: Config) -> bool:
    """Whether two jobs distill the same real set to the same budget."""
    one, other = (plain([cfg.train_cfg.budget, cfg.train_dataloader.dataset]) for cfg in (a, b))
    return one == other


def with_random(source: Config, protocol: Config, sets: Sets, work_dir: str,
                jobs: Optional[int] = None) -> Tuple[Dict[str, Any], List[str]]:
    """Add a baseline of random real images for every size of set that has none.

    They are drawn from the real set of ``source``, a distillation config, and kept in
    ``<work_dir>/random/<budget>_seed<k>``. Returns the sets with the new methods, and lines that
    say what was done or why not; ValueError where one cannot be made.
    """
    missing = missing_random(sets, protocol)
    if not missing:
        return dict(sets), []
    if source.get('train_dataloader') is None or (source.get('train_cfg') or {}).get(
            'writer') is None:
        return dict(sets), [NO_RANDOM]
    folders = {name: [own] if isinstance(own, str) else own for name, own in sets.items()}
    sizes = grouped((images, method) for method, images in missing.items())
    added, notes = dict(sets), []
    for images, methods in sorted(sizes.items()):
        budgets = [random_budget(protocol, folders[method][0], images) for method in methods]
        # An IPC budget draws from each class, which makes a stronger baseline.
        budget = next((one for one in budgets if one['type'] == 'IPC'), budgets[0])
        name = RANDOM if len(sizes) == 1 else f'{RANDOM}, {images} images'
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
    job = random_job(source)
    job.train_cfg.budget = budget
    job.train_cfg.pop('out_dir', None)
    stem = osp.join(work_dir, 'random', f'{budget["type"].lower()}{budget["n"]}')
    # Without a target: whether a set that is there is of this config, the distillation says.
    made = [replace(distill_job(
        f'random real images, {osp.basename(stem)}_seed{seed}', job.to_dict(),
        f'{stem}_seed{seed}', {'model.seed': seed}, ''), target=None, threads=None)
        for seed in range(number)]
    errors = run_jobs(made, min(1, 1 if jobs is None else jobs))
    for one in made:
        if one.name in errors:
            raise ValueError(f'the random baseline cannot be made: {errors[one.name]}; see '
                             f'{one.log}; --no-random leaves it out')
    return [osp.join(one.name, 'distilled') for one in made]
