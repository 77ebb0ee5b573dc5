"""The recipe of DC and DSA."""
from typing import Optional

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .base import ClassificationRule
from .lengths import set_length, set_schedulers


@TASK_UTILS.register_module()
class DSASchedule(ClassificationRule):
    """Hard labels as in DC and DSA: the learning rate falls once, after half of the epochs.

    Their code counts from 0 to ``epochs``, both included, and lowers the rate after the
    epoch ``epochs // 2 + 1``: 1001 epochs, the last 499 of them at a tenth.

    Args:
        epochs: Epochs less one, whatever the size of the set.
        kwargs: See :class:`ClassificationRule`.
    """

    limits = dict(epochs=dict(low=1))

    def __init__(self, epochs: int = 1000, **kwargs) -> None:
        super().__init__(**kwargs)
        self.epochs = epochs

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs + 1, self.epochs + 1)
        set_schedulers(cfg, 'milestones', [self.epochs // 2 + 2])
