"""Checks of a distillation job that cost little and come before everything else."""
import os
import tempfile
from typing import Any, Iterator, Mapping, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dist import barrier, get_rank
from mmengine.registry import DefaultScope, Registry

from mmdd.datasets.checks import check_writer, first_annotation, open_real_set
from mmdd.datasets.class_names import spoken_names
from mmdd.models.prompters.base import read_prompts
from mmdd.models.set_stages import SetStages
from mmdd.registry import DATASETS, HOOKS, LOOPS, MODELS, TASK_UTILS
from mmdd.structures import BaseBudget
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.components import check_part
from .distill_loop import check_proxy_classes
from .identity import check_weights
from .job import build_pool, describe_parts
from .journal import Journal
from .runtime_checks import check_runtime

Part = Tuple[str, Registry, Mapping[str, Any]]


def check_job(cfg: Config, resume: bool) -> None:
    """Check a job's components and claim on its folder; reads no data.

    Args:
        cfg: Config of the job with its ``work_dir``.
        resume: Whether it goes on in a folder that holds it.

    Raises:
        ValueError: If a component or one of its settings is unknown or out of
            range, weights are missing, or the folder cannot be used.
    """
    scope = cfg.get('default_scope') or 'mmdd'
    with DefaultScope.overwrite_default_scope(scope):
        check_runtime(cfg)
        for where, registry, node in parts_of(cfg):
            check_part(where, registry, node)
        for where, registry, node in parts_of(cfg):
            if registry in (TASK_UTILS, HOOKS):
                try_build(where, registry, node)
        diffusion = cfg.model.get('diffusion')
        if diffusion is not None:
            MODELS.get(diffusion.type).check_config(diffusion)
        MODELS.get(cfg.model.type).check_config(cfg.model)
        check_choice(cfg)
    if get_rank() == 0:
        check_writable(cfg.work_dir)
        journal = job_journal(cfg)
        held = journal.check(describe_parts(cfg), resume)
        if held:
            check_weights(cfg, journal)
        if not (held and os.path.isfile(journal.plan_file)):
            with DefaultScope.overwrite_default_scope(scope):
                check_prompter(cfg)
    barrier()


def job_journal(cfg: Config) -> Journal:
    """The journal of a job with its ``work_dir``."""
    return Journal(cfg.train_cfg.get('out_dir') or os.path.join(cfg.work_dir, 'distilled'))


def try_build(where: str, registry: Registry, node: Mapping[str, Any]) -> Any:
    """Build a component, for what only its constructor can tell.

    Raises:
        ValueError: If it refuses its settings.
    """
    try:
        return registry.build(node)
    except BAD_INPUT as error:
        raise ValueError(f'{where}: {one_line(error)}') from error


def check_choice(cfg: Config) -> None:
    """Check what scores, filters and chooses images.

    Raises:
        ValueError: If pool or refiners lack a network, or the judge cannot score.
    """
    judge = cfg.model.get('judge')
    if judge is not None:
        kind = MODELS.get(judge.type) if isinstance(judge.type, str) else judge.type
        if not getattr(kind, 'gives_scores', False):
            raise ValueError(f'model.judge: {kind.__name__} gives no scores; take a '
                             f'ClassifierProxy, DetectorProxy or SegmentorProxy')
    present = {name for name in ('diffusion', 'proxy', 'judge')
               if cfg.model.get(name) is not None}
    MODELS.get(cfg.model.type).check_parts(
        present, build_pool(cfg),
        [TASK_UTILS.build(node) for node in cfg.model.get('refiners') or []])


def check_prompter(cfg: Config) -> None:
    """Check that prompts can be made, before hours go into a proxy.

    A prompt file of the config may hold all of them, so nothing is asked then.

    Raises:
        ValueError: If a key, an endpoint or weights are missing, or the file is damaged.
    """
    file = cfg.model.get('prompt_file')
    if file and os.path.exists(file):
        read_prompts(file)
    elif cfg.model.get('prompter') is not None:
        TASK_UTILS.build(cfg.model.prompter).check()


def check_data(cfg: Config) -> None:
    """Check the real set, the budget, and that proxy and judge are about the same classes.

    Raises:
        ValueError: With the first problem.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        if get_rank() == 0:
            dataset = open_real_set(cfg.train_dataloader.dataset)
            classes = tuple(dataset.metainfo['classes'])
            num = check_budget(TASK_UTILS.build(cfg.train_cfg.budget), dataset, len(classes))
            build_set_stages(cfg).slots(num)
            check_writer(TASK_UTILS.build(cfg.train_cfg.writer), dataset)
            if cfg.model.get('label_sampler') is not None:
                TASK_UTILS.build(cfg.model.label_sampler).check(first_annotation(dataset))
            MODELS.get(cfg.model.type).check_classes(cfg.model, classes)
            if cfg.model.get('prompter') is not None:
                spoken_names(classes)
            diffusion = cfg.model.get('diffusion')
            if diffusion is not None:
                MODELS.get(diffusion.type).check_classes(diffusion, classes)
            for name in ('proxy', 'judge'):
                if cfg.model.get(name) is not None:
                    network = try_build(f'model.{name}', MODELS,
                                        dict(cfg.model[name], checkpoint=None))
                    check_proxy_classes(network, classes, name)
        barrier()


def check_budget(budget: BaseBudget, dataset: Any, num_classes: int) -> int:
    """Check that the real set is large enough for a budget, class by class where labels are known.

    Returns:
        int: Images of the set.

    Raises:
        ValueError: If it is not.
    """
    num = budget.resolve(len(dataset), num_classes)
    if hasattr(dataset, 'get_gt_labels') and np.ndim(
            dataset.get_data_info(0).get('gt_label', ())) == 0:
        budget.groups([np.array([label]) for label in dataset.get_gt_labels()], num_classes, num)
    return num


def build_set_stages(cfg: Config) -> SetStages:
    """The set stages of a job.

    Raises:
        ValueError: If they do not go together.
    """
    return SetStages([TASK_UTILS.build(stage) for stage in cfg.model.get('set_stages') or []])


def parts_of(cfg: Config) -> Iterator[Part]:
    """(place, registry, config) of every component of a job."""
    model, loop = cfg.model, cfg.train_cfg
    yield 'model', MODELS, model
    for name, registry in (('diffusion', MODELS), ('proxy', MODELS), ('judge', MODELS),
                           ('label_sampler', TASK_UTILS), ('prompter', TASK_UTILS),
                           ('initializer', TASK_UTILS), ('pool', TASK_UTILS),
                           ('statistics', TASK_UTILS), ('fine_tune', TASK_UTILS)):
        if model.get(name) is not None:
            yield f'model.{name}', registry, model[name]
    if isinstance(model.get('cluster_features'), Mapping):
        yield 'model.cluster_features', MODELS, model.cluster_features
    backend = (model.get('prompter') or {}).get('backend')
    if backend is not None:
        yield 'model.prompter.backend', TASK_UTILS, backend
    for name in ('refiners', 'set_stages'):
        for i, node in enumerate(model.get(name) or []):
            yield f'model.{name}[{i}]', TASK_UTILS, node
    yield 'train_cfg', LOOPS, dict(loop, runner=None, dataloader=None)
    for name in ('budget', 'writer'):
        if loop.get(name) is None:
            raise ValueError(f'the config has no train_cfg.{name}: a distillation job needs it')
        yield f'train_cfg.{name}', TASK_UTILS, loop[name]
    for i, node in enumerate(cfg.get('prepare') or []):
        yield f'prepare[{i}]', TASK_UTILS, node
    for i, node in enumerate(cfg.get('custom_hooks') or []):
        yield f'custom_hooks[{i}]', HOOKS, node
        for name, inner in (('views', TASK_UTILS), ('extractor', MODELS)):
            if isinstance(node, Mapping) and node.get(name) is not None:
                yield f'custom_hooks[{i}].{name}', inner, node[name]
    for name, node in (cfg.get('default_hooks') or {}).items():
        if node is not None:
            yield f'default_hooks.{name}', HOOKS, node
    if cfg.train_dataloader.get('dataset') is None:
        raise ValueError('the config has no train_dataloader.dataset: it is the real set')
    yield 'train_dataloader.dataset', DATASETS, cfg.train_dataloader.dataset


def check_writable(folder: str) -> None:
    """Create a folder and check that files can be written there.

    Raises:
        ValueError: If not.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise ValueError(
            f'{folder} cannot be written ({e.strerror}); give another --work-dir') from None
