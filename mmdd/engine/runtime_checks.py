"""Checks of what a config says beside its components: seeds, logging, loaders, evaluation."""
import logging
from importlib.util import find_spec
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.config import Config
from mmengine.runner import Runner

from mmdd.registry import VISBACKENDS, VISUALIZERS
from mmdd.utils.arguments import MAX_SEED
from mmdd.utils.components import component_of
from mmdd.utils.sections import Section, check_section
from mmdd.utils.signature import check_value, settings_of

# Default hooks of MMEngine's Runner, the only ones that None takes away.
STOCK_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
# What sections of a config hold; those of CLOSED hold nothing else.
SECTIONS: Dict[str, Section] = {
    'randomness': dict(seed=(Optional[int], dict(low=0, high=MAX_SEED)),
                       diff_rank_seed=(bool, None), deterministic=(bool, None)),
    'train_dataloader': dict(batch_size=(Optional[int], dict(low=1)),
                             num_workers=(int, dict(low=0)), persistent_workers=(bool, None),
                             pin_memory=(bool, None), drop_last=(bool, None),
                             dataset=(dict, None)),
    'evaluation': dict(protocol=(Union[str, Mapping, List[Union[str, Mapping]]], None),
                       students=(Optional[Dict[str, Any]], None)),
}
CLOSED = ('randomness', 'evaluation')
CHOICES = dict(launcher=('none', 'pytorch', 'slurm', 'mpi'),
               log_level=tuple(logging.getLevelNamesMapping()))


def check_runtime(cfg: Config) -> None:
    """Check the settings of a job that belong to no component.

    Raises:
        ValueError: With the first one that is unknown, of another type or out of range.
    """
    hints = settings_of(Runner) or {}
    for key, value in cfg.items():
        check_value(key, value, hints.get(key, Any), CHOICES.get(key))
    check_weights_of_training(cfg)
    check_value('prepare', cfg.get('prepare'), Optional[List[dict]])
    for name, known in SECTIONS.items():
        check_section(name, cfg.get(name) or {}, known, closed=name in CLOSED)
    meta = (cfg.train_dataloader.get('dataset') or {}).get('metainfo')
    if isinstance(meta, Mapping):
        check_value('train_dataloader.dataset.metainfo.classes', meta.get('classes'),
                    Union[str, Sequence[str], None])
    check_default_hooks(cfg.get('default_hooks') or {})
    check_scope(cfg.get('default_scope'))
    check_visualizer(cfg.get('visualizer') or {})


def check_weights_of_training(cfg: Config) -> None:
    """Check that a job asks for no checkpoint of itself, as a training does.

    One that was loaded would change its networks behind the weights that identify the job.

    Raises:
        ValueError: If it does.
    """
    if cfg.get('load_from') is not None:
        raise ValueError(f'load_from={cfg.load_from!r} is for trainings: a distillation takes its '
                         f'weights from model.diffusion.pretrained and model.proxy.checkpoint; '
                         f'leave it out')
    if cfg.get('resume'):
        raise ValueError('resume=True is for trainings: an interrupted distillation is resumed by '
                         'tools/distill.py --resume; leave it out')


def check_scope(scope: Optional[str]) -> None:
    """Check that a default scope is the name of an installed package.

    Raises:
        ValueError: If it is not.
    """
    if scope is not None and (
            not isinstance(scope, str) or find_spec(scope.partition('.')[0]) is None):
        raise ValueError(f'default_scope must be the name of an installed package such as '
                         f"'mmdd', got {scope!r}")


def check_visualizer(node: Mapping[str, Any]) -> None:
    """Check that the visualizer and its backends are known.

    Raises:
        ValueError: If one is not.
    """
    if node.get('type') is not None:
        component_of('visualizer', VISUALIZERS, node)
    for i, backend in enumerate(node.get('vis_backends') or []):
        component_of(f'visualizer.vis_backends[{i}]', VISBACKENDS, backend)


def check_default_hooks(hooks: Mapping[str, Any]) -> None:
    """Check that only hooks of MMEngine are taken away by None.

    Raises:
        ValueError: If another one is.
    """
    for name, hook in hooks.items():
        if hook is None and name not in STOCK_HOOKS:
            raise ValueError(f'default_hooks.{name} must be a dict that names a hook by type, got '
                             f'None, which takes away only {", ".join(STOCK_HOOKS)}; leave the '
                             f'entry out, with _delete_=True where it comes from a base')
