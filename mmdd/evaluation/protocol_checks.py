"""Checks of the numbers and names of a student protocol, before anything is trained."""
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from mmdd.utils.components import check_part
from mmdd.utils.sections import Section, check_section

SELECT = ('val', 'test', 'none')
# The field ``protocol``, see ``read_protocol``; ``rest`` is set by a search for learning rates.
PROTOCOL: Section = dict(
    task=(str, None), metrics=(Dict[str, str], None), scale=(float, dict(above=0)),
    schedule=(Optional[dict], None), select=(str, SELECT), full=(Optional[dict], None),
    rest=(Any, None))
# What mmdd reads or sets in the training config around it.
TRAINING: Dict[str, Section] = {
    'train_cfg': dict(max_epochs=(int, dict(low=1)), max_iters=(int, dict(low=1)),
                      val_interval=(int, dict(low=1)), val_begin=(int, dict(low=0)),
                      by_epoch=(bool, None)),
    'train_dataloader': dict(batch_size=(int, dict(low=1)), num_workers=(int, dict(low=0))),
    'optim_wrapper': dict(accumulative_counts=(int, dict(low=1)), optimizer=(dict, None)),
    'optim_wrapper.optimizer': dict(lr=(float, dict(low=0)), momentum=(float, dict(low=0)),
                                    weight_decay=(float, dict(low=0)))
}


def check_protocol(name: str, cfg: Config) -> None:
    """Check the settings of a protocol against their types and ranges.

    Args:
        name: What the protocol is called in the message.
        cfg: Training config with a field ``protocol``.

    Raises:
        ValueError: With the first one that is unknown, of another type or out of range.
    """
    check_section(f'{name}: protocol', cfg.protocol, PROTOCOL)
    if cfg.protocol.get('schedule') is not None:
        check_part(f'{name}: protocol.schedule', TASK_UTILS, cfg.protocol.schedule)
    check_training(cfg, f'{name}: ')


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
