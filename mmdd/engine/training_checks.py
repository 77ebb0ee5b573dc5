"""Checks of the numbers of a training config, before anything is trained."""
from typing import Any, Dict

from mmengine.config import Config

from mmdd.utils.sections import Section, check_section

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
