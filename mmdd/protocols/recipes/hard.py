"""Recipes of classification with hard labels: those of DC and DSA, and of IDC."""
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .base import ClassificationRule
from .lengths import EpochsByIPC, set_length, set_schedulers

IDC_EPOCHS = dict(table={1: 3000, 10: 2000, 50: 1500, 200: 1000, 500: 500}, above=300,
                  factors={100: 2 / 3}, multiple=100)
IDC_LARGE = dict(lr=0.1, weight_decay=1e-4, batch_size=128)


@TASK_UTILS.register_module()
@dataclass
class DSASchedule(ClassificationRule):
    """Hard labels as in DC and DSA: the learning rate falls once, after half of the epochs.

    Their code counts from 0 to ``epochs``, both included, and lowers the rate after the
    epoch ``epochs // 2 + 1``: 1001 epochs, the last 499 of them at a tenth.

    Args:
        epochs: Epochs less one, whatever the size of the set.
    """

    epochs: int = 1000

    limits = dict(epochs=dict(low=1))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs + 1, self.epochs + 1)
        set_schedulers(cfg, 'milestones', [self.epochs // 2 + 2])


@TASK_UTILS.register_module()
@dataclass
class IDCSchedule(ClassificationRule):
    """Hard labels as in IDC and Minimax: the fewer images, the more epochs.

    Args:
        epochs: Settings of :class:`EpochsByIPC`: ``table``, ``above``, ``factors`` and
            ``multiple``; those of IDC where they are not given.
        milestones: Where the learning rate falls, as shares of the epochs.
        validations: How often the student is evaluated.
        large_classes: Sets of more classes take the settings ``large``.
        large: ``lr``, ``weight_decay`` and ``batch_size``, likewise.
    """

    epochs: Optional[Dict[str, Any]] = None
    milestones: Sequence[float] = (2 / 3, 5 / 6)
    validations: int = 100
    large_classes: int = 100
    large: Optional[Dict[str, float]] = None

    limits = dict(milestones=dict(low=0, high=1), validations=dict(low=1),
                  large_classes=dict(low=1), large=dict(low=0))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        rule = EpochsByIPC(**{**IDC_EPOCHS, **(self.epochs or {})})
        epochs = rule.epochs(images, num_classes)
        set_length(cfg, epochs, epochs // self.validations, self.milestones)
        if num_classes > self.large_classes:
            large = {**IDC_LARGE, **(self.large or {})}
            optimizer = cfg.optim_wrapper.optimizer
            optimizer.lr, optimizer.weight_decay = large['lr'], large['weight_decay']
            cfg.train_dataloader.batch_size = int(large['batch_size'])
