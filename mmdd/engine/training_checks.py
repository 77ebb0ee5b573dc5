"""Checks of a training config, before anything is trained."""
import inspect
import os.path as osp
from typing import Any, Dict

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdd.registry import LOOPS, MODELS
from mmdd.utils.components import check_part, class_of
from mmdd.utils.sections import Section, check_section
from .distill_loop import DistillLoop

# What mmdd reads or sets in the training config of a training config.
TRAINING: Dict[str, Section] = {
    'train_cfg': dict(max_epochs=(int, dict(low=1)), max_iters=(int, dict(low=1)),
                      val_interval=(int, dict(low=1)), val_begin=(int, dict(low=0)),
                      by_epoch=(bool, None)),
    'train_dataloader': dict(batch_size=(int, dict(low=1)), num_workers=(int, dict(low=0))),
    'optim_wrapper': dict(accumulative_counts=(int, dict(low=1)), optimizer=(dict, None)),
    'optim_wrapper.optimizer': dict(lr=(float, dict(low=0)), momentum=(float, dict(low=0)),
                                    weight_decay=(float, dict(low=0)))
}


def check_training(cfg: Config, name: str = '') -> None:
    """Check the numbers of a training config.

    Args:
        cfg: The config.
        name: What stands before a key in the message.

    Raises:
        ValueError: With the first one of another type or out of range.
    """
    for section, known in TRAINING.items():
        node: Any = cfg
        for key in section.split('.'):
            node = node.get(key) or {}
        check_section(f'{name}{section}', node, known, closed=False)


def check_is_training(cfg: Config) -> None:
    """Check that a config is not one of a distillation, which has checks and steps of its own.

    Raises:
        ValueError: If it is.
    """
    loop = class_of(LOOPS, cfg.get('train_cfg'))
    if inspect.isclass(loop) and issubclass(loop, DistillLoop):
        raise ValueError(f'{cfg.filename or "the config"} is a distillation config '
                         f'(train_cfg.type {loop.__name__}): use tools/distill.py')


def check_model(cfg: Config) -> None:
    """Check the model of a training config where its class knows how, before data is prepared.

    Raises:
        ValueError: If a setting is wrong, or something that it needs is missing.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        kind = class_of(MODELS, cfg.get('model'))
        if hasattr(kind, 'check_config'):
            check_part('model', MODELS, cfg.model)
            kind.check_config(cfg.model)


def check_load_from(cfg: Config) -> None:
    """Check that the weights that a training starts from are there; a URL is not asked.

    Raises:
        FileNotFoundError: If they are not.
    """
    path = cfg.get('load_from')
    if path is not None and '://' not in path and not osp.isfile(osp.expanduser(path)):
        raise FileNotFoundError(f'load_from={path!r}: there is no such file')
