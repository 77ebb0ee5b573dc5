"""The recipe of IDC."""
from typing import Any, Dict, Optional, Sequence

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .base import ClassificationRule
from .by_size import EpochsByIPC
from .lengths import set_length


@TASK_UTILS.register_module()
class IDCSchedule(ClassificationRule):
    """Hard labels as in IDC and Minimax: the fewer images, the more epochs.

    Args:
        epochs: Settings of :class:`EpochsByIPC`: ``table``, ``above``, ``factors`` and
            ``multiple``.
        milestones: Where the learning rate falls, as shares of the epochs.
        validations: How often the student is evaluated.
        large_classes: Sets of more classes take the settings ``large``.
        large: ``lr``, ``weight_decay`` and ``batch_size``.
        kwargs: See :class:`ClassificationRule`.
    """

    limits = dict(milestones=dict(low=0, high=1), validations=dict(low=1),
                  large_classes=dict(low=1), large=dict(low=0))

    def __init__(self,
                 epochs: Optional[Dict[str, Any]] = None,
                 milestones: Sequence[float] = (2 / 3, 5 / 6),
                 validations: int = 100,
                 large_classes: int = 100,
                 large: Optional[Dict[str, float]] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        table = {1: 3000, 10: 2000, 50: 1500, 200: 1000, 500: 500}
        self.rule = EpochsByIPC(**dict(
            dict(table=table, above=300, factors={100: 2 / 3}, multiple=100), **(epochs or {})))
        self.milestones = milestones
        self.validations = validations
        self.large_classes = large_classes
        self.large = dict(dict(lr=0.1, weight_decay=1e-4, batch_size=128), **(large or {}))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        ipc = None if images is None else images / num_classes
        epochs = self.rule.epochs(ipc, num_classes)
        set_length(cfg, epochs, epochs // self.validations, self.milestones)
        if num_classes > self.large_classes:
            cfg.optim_wrapper.optimizer.lr = self.large['lr']
            cfg.optim_wrapper.optimizer.weight_decay = self.large['weight_decay']
            cfg.train_dataloader.batch_size = int(self.large['batch_size'])
