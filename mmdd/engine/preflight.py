"""Checks of a distillation job that cost little and come before everything else."""
import os
import re
import tempfile
from typing import Any, Mapping

import numpy as np
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.registry import DefaultScope, Registry

from mmdd.datasets.checks import check_writer, first_annotation, open_real_set
from mmdd.models.prompters.base import read_prompts
from mmdd.models.set_stages import SetStages
from mmdd.registry import HOOKS, MODELS, TASK_UTILS
from mmdd.structures import BaseBudget
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.components import check_part, class_of
from mmdd.utils.rank_zero import together
from .identity import check_weights
from .job import build_pool, describe_parts
from .journal import Journal
from .parts import check_proxy_classes, model_parts, parts_of
from .runtime_checks import check_runtime, check_scope


def check_job(cfg: Config, resume: bool) -> None:
    """Check a job's components and claim on its folder; reads no data.

    Args:
        cfg: Config of the job with its ``work_dir``.
        resume: Whether a folder that holds it is resumed.

    Raises:
        ValueError: If a component or one of its settings is unknown or out of
            range, weights are missing, or the folder cannot be used.
    """
    with together():
        check_scope(cfg.get('default_scope'))  # before it is entered
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
            check_components(cfg)
        if get_rank() == 0:
            check_folder(cfg, resume)


def check_components(cfg: Config) -> None:
    """Check what a config says of a job, as far as no data is needed.

    Raises:
        ValueError: See :func:`check_job`.
    """
    check_runtime(cfg)
    for where, registry, node in parts_of(cfg):
        check_part(where, registry, node)
    built = [try_build(where, registry, node)
             for where, registry, node in parts_of(cfg, inner=False)
             if registry in (TASK_UTILS, HOOKS)]
    for _, registry, node in reversed(list(model_parts(cfg.model))):
        ask(registry, node, 'check_config', node)
    for part in built:
        if hasattr(part, 'check_model'):
            part.check_model(cfg.model)
    check_choice(cfg)


def check_folder(cfg: Config, resume: bool) -> None:
    """Check that a job may use its folder, and that what it needs for the rest of it is there.

    Raises:
        ValueError: See :func:`check_job`.
    """
    check_writable(cfg.work_dir)
    journal = job_journal(cfg)
    if cfg.train_cfg.get('out_dir'):
        check_writable(os.path.dirname(os.path.abspath(journal.out_dir)), 'train_cfg.out_dir')
    held = journal.check(describe_parts(cfg), resume)
    if held:
        check_weights(cfg, journal)
    if not (held and os.path.isfile(journal.plan_file)):
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
            check_prompter(cfg)


def ask(registry: Registry, node: Mapping[str, Any], check: str, *args: Any) -> None:
    """Let the class of a component make a check of its own, where it has one.

    Args:
        registry: Where its type is looked up.
        node: Its config.
        check: ``check_config`` (of its settings and files) or ``check_classes`` (of the class
            names of the real set), class methods.
        args: What it takes.

    Raises:
        ValueError: If the component finds something wrong.
    """
    method = getattr(class_of(registry, node), check, None)
    if method is not None:
        method(*args)


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
        lacks = re.search(r'(\w+)\.__init__\(\) missing .*: (.*)', str(error))
        told = f'{lacks[1]} needs {lacks[2]}; give it' if lacks else one_line(error)
        raise ValueError(f'{where}: {told}') from error


def check_choice(cfg: Config) -> None:
    """Check what scores, filters and chooses images.

    Raises:
        ValueError: If pool or refiners lack a network, or the judge cannot score.
    """
    judge = cfg.model.get('judge')
    if judge is not None:
        kind = class_of(MODELS, judge)
        if not getattr(kind, 'gives_scores', False):
            raise ValueError(f'model.judge: {kind.__name__} gives no scores; take a '
                             f'ClassifierProxy, DetectorProxy or SegmentorProxy')
    present = {name for name in ('diffusion', 'proxy', 'judge')
               if cfg.model.get(name) is not None}
    class_of(MODELS, cfg.model).check_parts(
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
    scope = cfg.get('default_scope') or 'mmdd'
    with together(), DefaultScope.overwrite_default_scope(scope):
        if get_rank() == 0:
            dataset = open_real_set(cfg.train_dataloader.dataset)
            classes = tuple(dataset.metainfo['classes'])
            num = check_budget(TASK_UTILS.build(cfg.train_cfg.budget), dataset, len(classes))
            build_set_stages(cfg).slots(num)
            check_writer(TASK_UTILS.build(cfg.train_cfg.writer), dataset)
            first = first_annotation(dataset)
            if cfg.model.get('label_sampler') is not None:
                TASK_UTILS.build(cfg.model.label_sampler).check(first)
            for _, registry, node in model_parts(cfg.model):
                ask(registry, node, 'check_classes', node, classes)
            networks = {name: try_build(f'model.{name}', MODELS,
                                        dict(cfg.model[name], checkpoint=None))
                        for name in ('proxy', 'judge') if cfg.model.get(name) is not None}
            for name, network in networks.items():
                check_proxy_classes(network, classes, name)
            for node in cfg.model.get('refiners') or []:
                TASK_UTILS.build(node).check(networks.get('proxy'), first)


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


def check_writable(folder: str, setting: str = '--work-dir') -> None:
    """Create a folder and check that files can be written there.

    Args:
        folder: The folder.
        setting: What names it, for the message.

    Raises:
        ValueError: If not.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise ValueError(
            f'{folder} cannot be written ({e.strerror}); give another {setting}') from None
