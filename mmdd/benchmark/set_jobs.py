"""The sets of a benchmark: which there are, which are done, how long one may take."""
import copy
import os.path as osp
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmdd.datasets.manifest import MANIFEST
from mmdd.engine.job import build_pool, changes_images, describe_parts, describe_raw_samples
from mmdd.engine.journal import Journal
from mmdd.engine.worker_jobs import shared_weights
from mmdd.models.coresets import CoresetBaseline
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils.compat import setup
from mmdd.utils.components import class_of
from mmdd.utils.signature import defaults_of
from .methods import Method
from .suite import Group


@dataclass
class SetJob:
    """One generated set of a method."""
    method: Method  # the method
    seed: int  # ``model.seed`` of the distillation
    work_dir: str  # where it works; shared by methods that ask for the same set
    options: Dict[str, Any]  # dotted options merged into the method's config
    # What identifies the job, see :func:`describe_parts`.
    description: Dict[str, str] = field(default_factory=dict)
    raw_samples: str = ''  # what decides its images before refinement
    base: Optional['SetJob'] = None  # that of a method with the same images without refinement
    error: Optional[str] = None  # why it failed, once it did

    @property
    def folder(self) -> str:
        """Folder of the set."""
        return osp.join(self.work_dir, 'distilled')

    @property
    def done(self) -> bool:
        """Whether the set is whole; ValueError if the folder holds the set of another config."""
        Journal(self.folder).check(self.description, resume=True)
        return osp.isfile(osp.join(self.folder, MANIFEST))

    @property
    def config(self) -> Config:
        """The method's config with the options of this set."""
        cfg = copy.deepcopy(self.method.cfg)
        cfg.merge_from_dict(self.options)
        return cfg

    def checkpoint(self, part: str = 'proxy') -> Optional[str]:
        """Where the weights of its proxy or judge are, or will be."""
        return self.options.get(f'model.{part}.checkpoint') or (
            self.method.cfg.model.get(part) or {}).get('checkpoint')

    @property
    def raw(self) -> Tuple[Optional[str], ...]:
        """What decides its images before refinement, and the weights and prompts that are used."""
        return self.raw_samples, self.checkpoint(), self.method.cfg.model.get('prompt_file')


Plan = List[Tuple[Group, List[SetJob]]]


def plan_sets(groups: Sequence[Group], work_dir: str, sets: int) -> Plan:
    """List the sets of every group below the work dir; equal jobs share a folder.

    ``sets`` of a method have ``model.seed`` 0, 1, 2, ...; one that :func:`is_deterministic` has 1.
    ValueError for less than one.
    """
    if sets < 1:
        raise ValueError(f'--sets {sets}: a method needs at least one set')
    setup()
    places: Dict[Tuple, str] = {}
    plan: Plan = []
    for group in groups:
        jobs = [_set_job(method, seed, work_dir) for method in group.methods
                for seed in range(1 if is_deterministic(method.cfg) else sets)]
        unrefined = {job.raw: job for job in jobs if not job.method.cfg.model.get('refiners')}
        for job in jobs:
            # The description leaves weights out: they may not be trained yet.
            key = *job.description.items(), *job.raw, job.checkpoint('judge')
            job.work_dir = places.setdefault(key, job.work_dir)
            if job.method.cfg.model.get('refiners'):
                job.base = unrefined.get(job.raw)
        plan.append((group, jobs))
    return plan


def _set_job(method: Method, seed: int, work_dir: str) -> SetJob:
    options: Dict[str, Any] = dict(method.options, **{'model.seed': seed})
    if method.cfg.train_cfg.get('out_dir'):
        options['train_cfg.out_dir'] = None
    options.update(shared_weights(method.cfg.model, work_dir))
    job = SetJob(method, seed, osp.join(work_dir, method.folder, f'seed{seed}'), options)
    cfg = job.config
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        job.description, job.raw_samples = describe_parts(cfg), describe_raw_samples(cfg)
    return job


def is_deterministic(cfg: Config) -> bool:
    """Whether ``model.seed`` changes nothing in the images of a job: its sets are one."""
    kind = class_of(MODELS, cfg.model)
    fixed = isinstance(kind, type) and issubclass(kind, CoresetBaseline) and not kind.reads_seed(
        cfg.model)
    # stages and refiners after the selection may draw
    return fixed and not cfg.model.get('set_stages') and not cfg.model.get('refiners')


def expected_length(job: SetJob) -> float:
    """What sorts jobs by their length: about the denoiser evaluations, 0 where images are copied.

    Images per budget unit x steps x branches; a step with guidance counts twice, an image that
    is chosen from a pool as many times. What a config leaves open, its component says.
    """
    cfg = job.method.cfg
    if cfg.model.get('diffusion') is None:
        return 0.
    budget, diffusion = cfg.train_cfg.budget, _complete(MODELS, cfg.model.diffusion)
    passes = float(next((budget[key] for key in ('n', 'percent') if key in budget), 1))
    passes *= diffusion['steps'] * (2 if diffusion['cfg_scale'] > 1 else 1)
    pool = build_pool(cfg)
    passes *= pool.samplings(diffusion['steps']) if pool else 1
    passes *= 1 + any(changes_images(hook) for hook in cfg.get('custom_hooks') or [])
    for stage in cfg.model.get('set_stages') or []:
        passes *= float(Fraction(_complete(TASK_UTILS, stage).get('pool') or 1))
    return passes


def weights_of(jobs: Sequence[SetJob]) -> Dict[str, float]:
    """What sets of one group take beside one another, by work dir; the mean is 1.

    A set whose images are copied takes a tenth of the mean of all: loading and writing take time.
    """
    lengths = {job.work_dir: expected_length(job) for job in jobs}
    mean = sum(lengths.values()) / max(len(lengths), 1) or 1.
    raw = {name: length + 0.1 * mean for name, length in lengths.items()}
    whole = sum(raw.values()) / max(len(raw), 1)
    return {name: value / whole for name, value in raw.items()}


def _complete(registry: Registry, node: Mapping[str, Any]) -> Dict[str, Any]:
    """A component's config with the defaults of its class; a type unknown here has none."""
    kind = class_of(registry, node)
    given = {key: value for key, value in node.items() if value is not None}
    return {'steps': 1, 'cfg_scale': 1., **(defaults_of(kind) if kind else {}), **given}
