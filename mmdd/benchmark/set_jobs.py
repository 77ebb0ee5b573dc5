"""The sets of a benchmark: which there are, which are done, how long one may take."""
import copy
import json
import os.path as osp
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmdd.datasets.manifest import MANIFEST
from mmdd.engine.job import build_pool, changes_images, describe_parts, describe_raw_samples
from mmdd.engine.journal import Journal
from mmdd.models.coresets import CoresetBaseline
from mmdd.models.diffusions.fine_tuned import prior_of
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils.compat import setup
from mmdd.utils.config import fingerprint, plain
from mmdd.utils.signature import defaults_of
from .methods import Method
from .preparations import is_trained_here
from .suite import Group


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
    options.update(_shared_weights(method.cfg.model, work_dir))
    job = SetJob(method, seed, osp.join(work_dir, method.folder, f'seed{seed}'), options)
    cfg = job.config
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        job.description, job.raw_samples = describe_parts(cfg), describe_raw_samples(cfg)
    return job


def _shared_weights(model: Mapping[str, Any], work_dir: str) -> Dict[str, str]:
    """Where weights without a place go: trained once for all sets, not once in each work dir."""
    places = {}
    for part in ('proxy', 'judge'):
        proxy = model.get(part)
        if proxy is not None and not proxy.get('checkpoint') and is_trained_here(proxy):
            name = _training_mark(json.dumps(plain(proxy.cfg)))[:12]
            places[f'model.{part}.checkpoint'] = osp.join(work_dir, 'proxies', f'{name}.pth')
    tuned = model.get('fine_tune')
    if tuned is not None and not tuned.get('checkpoint'):
        training = _training_mark(json.dumps(plain(tuned.cfg)))
        name = fingerprint(dict(part=[training, prior_of(model['diffusion'])]))[:12]
        places['model.fine_tune.checkpoint'] = osp.join(work_dir, 'fine_tuned', f'{name}.pth')
    return places


@cache
def _training_mark(text: str) -> str:
    """Fingerprint of a training config from its files or parts, which many methods may share."""
    return fingerprint(json.loads(text))


def is_deterministic(cfg: Config) -> bool:
    """Whether ``model.seed`` changes nothing in the images of a job: its sets are one."""
    kind = MODELS.get(cfg.model.type) if isinstance(cfg.model.type, str) else cfg.model.type
    fixed = isinstance(kind, type) and issubclass(kind, CoresetBaseline) and not kind.reads_seed(
        cfg.model)
    # stages and refiners after the selection may draw
    return fixed and not cfg.model.get('set_stages') and not cfg.model.get('refiners')


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


def _complete(registry: Registry, node: Mapping[str, Any]) -> Dict[str, Any]:
    """A component's config with the defaults of its class; a type unknown here has none."""
    kind = registry.get(node['type']) if isinstance(node['type'], str) else node['type']
    given = {key: value for key, value in node.items() if value is not None}
    return {'steps': 1, 'cfg_scale': 1., **(defaults_of(kind) if kind else {}), **given}
