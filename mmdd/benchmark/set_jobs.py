"""The distillations of a benchmark: which there are, which are done, doing the rest."""
import copy
import os.path as osp
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdd.datasets.manifest import MANIFEST
from mmdd.engine.job import build_pool, changes_images, describe_parts, describe_raw_samples
from mmdd.engine.journal import Journal
from mmdd.models.coresets import CoresetBaseline
from mmdd.protocols.workers import default_jobs
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.components import class_of
from mmdd.utils.config import fingerprint, load_config, plain
from .isolated import distill_isolated
from .suite import Group, Method


@dataclass
class SetJob:
    """One generated set of a method.

    Attributes:
        method: The method.
        seed: ``model.seed`` of the distillation.
        work_dir: Where it works; shared by methods that ask for the same set.
        options: Dotted options merged into the method's config.
        description: What identifies the job, see :func:`describe_parts`.
        raw_samples: What decides its images before refinement.
        base: The job of a method that has the same images without refinement.
        error: Why it failed, once it did.
    """
    method: Method
    seed: int
    work_dir: str
    options: Dict[str, Any]
    description: Dict[str, str] = field(default_factory=dict)
    raw_samples: str = ''
    base: Optional['SetJob'] = None
    error: Optional[str] = None

    @property
    def folder(self) -> str:
        """Folder of the set."""
        return osp.join(self.work_dir, 'distilled')

    @property
    def done(self) -> bool:
        """Whether the set is whole: its manifest is written last.

        Raises:
            ValueError: If the folder holds the set of another config.
        """
        Journal(self.folder).check(self.description, resume=True)
        return osp.isfile(osp.join(self.folder, MANIFEST))

    @property
    def attempts(self) -> int:
        """Finished attempts of a set that is not whole yet."""
        return sum(1 for _ in Journal(self.folder).keys())

    @property
    def config(self) -> Config:
        """The method's config with the options of this set."""
        cfg = copy.deepcopy(self.method.cfg)
        cfg.merge_from_dict(self.options)
        return cfg

    @property
    def checkpoint(self) -> Optional[str]:
        """Where the weights of its proxy are, or will be."""
        return self.options.get('model.proxy.checkpoint') or (
            self.method.cfg.model.get('proxy') or {}).get('checkpoint')

    @property
    def judge_checkpoint(self) -> Optional[str]:
        """Where the weights of its judge are, or will be."""
        return self.options.get('model.judge.checkpoint') or (
            self.method.cfg.model.get('judge') or {}).get('checkpoint')

    @property
    def prompts(self) -> Optional[str]:
        """The file of prompts made by hand, if any."""
        return self.method.cfg.model.get('prompt_file')


Plan = List[Tuple[Group, List[SetJob]]]


def plan_sets(groups: Sequence[Group], work_dir: str, sets: int) -> Plan:
    """List the sets of every group; equal jobs share a folder.

    Args:
        groups: Groups of methods.
        work_dir: Work dir of the benchmark.
        sets: Sets per method, with ``model.seed`` 0, 1, 2, ...; one of a method that
            :func:`is_deterministic`.

    Raises:
        ValueError: If ``sets`` is below 1.
    """
    if sets < 1:
        raise ValueError(f'--sets {sets}: a method needs at least one set')
    setup()
    places: Dict[str, str] = {}
    plan: Plan = []
    for group in groups:
        jobs = [_set_job(method, seed, work_dir) for method in group.methods
                for seed in range(1 if is_deterministic(method.cfg) else sets)]
        for job in jobs:
            # The description leaves weights out: they may not be trained yet.
            key = fingerprint(dict(job.description, checkpoint=job.checkpoint,
                                   judge=job.judge_checkpoint, prompts=job.prompts))
            job.work_dir = places.setdefault(key, job.work_dir)
        _find_bases(jobs)
        plan.append((group, jobs))
    return plan


def _find_bases(jobs: Sequence[SetJob]) -> None:
    """Let jobs with refiners build on those that lack them and are the same otherwise."""
    plain = {(job.raw_samples, job.checkpoint, job.prompts): job for job in jobs
             if not job.method.cfg.model.get('refiners')}
    for job in jobs:
        if job.method.cfg.model.get('refiners'):
            job.base = plain.get((job.raw_samples, job.checkpoint, job.prompts))


def _set_job(method: Method, seed: int, work_dir: str) -> SetJob:
    options: Dict[str, Any] = dict(method.options, **{'model.seed': seed})
    if method.cfg.train_cfg.get('out_dir'):
        options['train_cfg.out_dir'] = None
    for part in ('proxy', 'judge'):
        proxy = method.cfg.model.get(part)
        if proxy is not None and not proxy.get('checkpoint') and is_trained_here(proxy):
            # Trained once for all sets and methods, not once in each work dir.
            name = fingerprint(proxy.cfg)[:12]
            options[f'model.{part}.checkpoint'] = osp.join(work_dir, 'proxies', f'{name}.pth')
    job = SetJob(method, seed, osp.join(work_dir, method.folder, f'seed{seed}'), options)
    cfg = job.config
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        job.description, job.raw_samples = describe_parts(cfg), describe_raw_samples(cfg)
    return job


def is_deterministic(cfg: Config) -> bool:
    """Whether ``model.seed`` changes nothing in the images of a job: its sets are one."""
    kind = MODELS.get(cfg.model.type) if isinstance(cfg.model.type, str) else cfg.model.type
    fixed = isinstance(kind, type) and issubclass(kind, CoresetBaseline) and not kind.reads_seed(
        cfg.model)
    # stages and refiners after the selection may draw
    return fixed and not cfg.model.get('set_stages') and not cfg.model.get('refiners')


def is_trained_here(proxy: Any) -> bool:
    """Whether distilling trains a proxy where its weights are missing."""
    return proxy.get('cfg') is not None and getattr(
        class_of(MODELS, proxy), 'trained_by_job', True)


def describe_set_jobs(plan: Plan) -> List[str]:
    """One line per method: how many of its sets are finished."""
    lines = []
    for group, jobs in plan:
        lines.append(f'{group.name}:')
        for method in group.methods:
            mine = [job for job in jobs if job.method is method]
            done = sum(job.done for job in mine)
            begun = sum(job.attempts for job in mine if not job.done)
            more = f', {begun} images of the others' if begun else ''
            added = ' (added: the random baseline of this budget)' if method.added else ''
            lines.append(f'  {method.name}: {done} of {len(mine)} sets are finished{more}; '
                         f'{method.budget}, {mine[0].work_dir}{added}')
    return lines


def distill_sets(plan: Plan, spawn: bool = True, workers: Optional[int] = None) -> None:
    """Distill what is not finished; failures stay with their job.

    Jobs that build data or train weights come first, side by side where they do not do the
    same; what is left then runs side by side, the longest first. Methods that only refine the
    images of another method come last and take them over.

    Args:
        plan: See :func:`plan_sets`; the field ``error`` of failed jobs is filled in.
        spawn: Whether each job gets a process of its own; without, one after another.
        workers: Jobs at once; :func:`default_workers` if None.
    """
    jobs: Dict[str, List[SetJob]] = {}
    for _, members in plan:
        for job in members:
            jobs.setdefault(job.work_dir, []).append(job)
    pending = [same for same in jobs.values() if not _finished(same)]
    kept = sum(1 for same in jobs.values() if not same[0].error) - len(pending)
    pending.sort(key=lambda same: same[0].base is not None)
    pending[1:] = sorted(pending[1:], key=lambda same: (
        same[0].base is not None, -expected_length(same[0])))
    if kept:
        print(f'{kept} of {len(jobs)} sets are finished already', flush=True)
    workers = 1 if not spawn else workers or default_workers()
    progress = _Progress(len(pending))
    for batch in _batches(pending):
        _distill_together(batch, workers, spawn, progress)


def _batches(pending: Sequence[List[SetJob]]) -> Iterator[List[List[SetJob]]]:
    """Split jobs into those that may run at the same time, one batch after another.

    The next batch is decided when the one before has run.
    """
    left, begun = [(same, *preparations(same[0].config)) for same in pending], set()
    while True:
        batch, later, taken = [], [], set()
        for same, steps, weights in left:
            unmet = steps - begun | {path for path in weights if not osp.isfile(path)}
            if unmet and not unmet & taken:
                batch.append((same, steps))
                taken |= unmet
            else:
                later.append((same, steps, weights))
        if not batch:
            break
        yield [same for same, _ in batch]
        left, begun = later, begun.union(*(steps for _, steps in batch))
    for based in (False, True):
        batch = [same for same, _, _ in left if (same[0].base is not None) == based]
        if batch:
            yield batch


def _distill_together(batch: List[List[SetJob]], workers: int, spawn: bool,
                      progress: '_Progress') -> None:
    """Distill sets side by side; a single one has all CPU threads."""
    workers = min(workers, len(batch))
    threads = None if workers == 1 else max(1, default_jobs() // workers)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda same: _distill_set(same, spawn, threads, progress), batch))


class _Progress:
    """Counts finished sets and prints lines with the remaining time."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.begin = total, 0, time.perf_counter()

    def finish(self, job: SetJob, seconds: float) -> None:
        """Count a set and say how long the others will take."""
        self.done += 1
        eta = (time.perf_counter() - self.begin) / self.done * (self.total - self.done)
        print(f'[set {self.done}/{self.total}] {job.method.name} seed {job.seed}: '
              f'{"failed: " + job.error if job.error else job.folder} ({seconds:.0f} s, '
              f'eta of all sets {eta:.0f} s)', flush=True)


def _distill_set(same: List[SetJob], spawn: bool, threads: Optional[int],
                 progress: _Progress) -> None:
    """Distill one set, which several methods may share, and say so."""
    job, start = same[0], time.perf_counter()
    method = job.method
    print(f'{method.name} seed {job.seed}: {method.config_name or "random baseline"}', flush=True)
    config = method.config if method.config_name else method.cfg.to_dict()
    options = dict(job.options)
    if job.base is not None and job.base.done:
        options['train_cfg.reuse'] = job.base.folder
    error = distill_isolated(config, job.work_dir, options, spawn, threads, label=method.folder)
    if not error and not job.done:
        error = f'no {MANIFEST} in {job.folder} afterwards'
    for twin in same:
        twin.error = error
    progress.finish(job, time.perf_counter() - start)


def default_workers() -> int:
    """Sets that are made at once: small networks do not fill several CPU cores; a GPU is one."""
    return 1 if torch.cuda.is_available() else min(default_jobs(), 4)


def expected_length(job: SetJob) -> float:
    """What sorts jobs by their length: about the denoiser passes, 0 where images are copied.

    Images per budget unit x steps x branches; a step with guidance counts twice, an image that
    is chosen from a pool as many times.
    """
    cfg = job.method.cfg
    diffusion = cfg.model.get('diffusion')
    if diffusion is None:
        return 0.
    budget = cfg.train_cfg.budget
    passes = float(next((budget[key] for key in ('n', 'percent') if key in budget), 1))
    steps = diffusion.get('steps') or 50
    passes *= steps * (2 if (diffusion.get('cfg_scale') or 2) > 1 else 1)
    pool = build_pool(cfg)
    passes *= pool.samplings(steps) if pool else 1
    passes *= 1 + any(changes_images(hook) for hook in cfg.get('custom_hooks') or [])
    for stage in cfg.model.get('set_stages') or []:
        passes *= stage.get('pool', 1)
    return passes


def preparations(cfg: Any) -> Tuple[Set[str], Set[str]]:
    """What a job does before it distills, and would do twice beside a job like it.

    Returns:
        tuple: fingerprints of its steps, such as making data; and the checkpoints that it
        trains where they are missing, its own and those they build on.
    """
    steps, weights = set(), set()
    for node in _steps(plain(load_config(cfg).to_dict())):
        if node.get('checkpoint'):
            weights.add(node['checkpoint'])
        else:
            steps.add(fingerprint(node))
    return steps, weights


def _steps(node: Any) -> Iterator[Dict[str, Any]]:
    """Entries of ``prepare`` and nodes that say how they are trained, through their configs."""
    if isinstance(node, list):
        for value in node:
            yield from _steps(value)
    if not isinstance(node, dict):
        return
    yield from node.get('prepare') or []
    for value in node.get('prepare') or []:
        yield from _steps_of(value.get('config'))
    if node.get('cfg') and node.get('checkpoint'):
        yield node
        yield from _steps_of(node['cfg'])
    for key, value in node.items():
        if key not in ('cfg', 'prepare'):
            yield from _steps(value)


def _steps_of(training: Any) -> List[Dict[str, Any]]:
    """The same for a training config, as :func:`load_config` takes it; files are read once."""
    return _steps_of_file(training) if isinstance(training, str) else _read_steps(training)


def _read_steps(training: Any) -> List[Dict[str, Any]]:
    try:
        return list(_steps(plain(load_config(training or {}).to_dict())))
    except (FileNotFoundError, ValueError):  # the job itself says so
        return []


_steps_of_file = lru_cache(maxsize=None)(_read_steps)


def _finished(same: List[SetJob]) -> bool:
    """Whether nothing is to be done; a folder of something else is a failure."""
    try:
        return same[0].done
    except ValueError as error:
        for job in same:
            job.error = str(error)
        return True
