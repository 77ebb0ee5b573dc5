"""Recipes of any task: epochs by images per class, warm-ups of small sets."""
import math
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .base import ScheduleRule
from .lengths import num_updates, round_down, set_epochs, warm_ups


@TASK_UTILS.register_module()
@dataclass
class EpochsByIPC(ScheduleRule):
    """Epochs by images per class: the entry of the next IPC in a table.

    Args:
        table: IPC -> epochs; a set of so many images per class or fewer takes them.
        above: Epochs beyond the last entry.
        factors: Number of classes -> factor on the epochs of such sets.
        multiple: Epochs of sets with a factor are rounded down to a multiple of this.
        milestones: Steps of the learning rate as fractions of the epochs, rounded
            down; None scales whatever the protocol's schedulers count by epoch.
        validations: Validations per training; None keeps the protocol's interval.
    """

    table: Mapping[Any, int]
    above: int
    factors: Optional[Mapping[Any, float]] = None
    multiple: int = 1
    milestones: Optional[Sequence[float]] = None
    validations: Optional[int] = None

    limits = dict(table=dict(low=1), factors=dict(above=0), milestones=dict(low=0, high=1),
                  validations=dict(low=1))

    def epochs(self, images: Optional[int], num_classes: int) -> int:
        """Epochs of a set; one of unknown size counts as above the table."""
        ipc = math.inf if images is None else images / num_classes
        table = sorted((float(bound), int(epochs)) for bound, epochs in self.table.items())
        epochs = next((epochs for bound, epochs in table if ipc <= bound), self.above)
        factors = {int(number): factor for number, factor in (self.factors or {}).items()}
        if num_classes in factors:
            epochs = round_down(epochs * factors[num_classes])
            epochs -= epochs % self.multiple
        return max(1, epochs)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Set the number of epochs and everything that counts them."""
        epochs = self.epochs(images, num_classes)
        set_epochs(cfg, epochs, self.milestones)
        if self.validations:
            cfg.train_cfg.val_interval = max(1, epochs // self.validations)


@TASK_UTILS.register_module()
@dataclass
class ShortWarmUp(ScheduleRule):
    """Warm-ups that count updates take no more than a share of a training.

    A warm-up of 500 updates is written for a full set; a small one is over before it.

    Args:
        share: Share of the updates, in (0, 1].
    """

    share: float = 0.1

    limits = dict(share=dict(above=0, high=1))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Shorten the warm-ups; a set of unknown size keeps them."""
        if images is None:
            return
        most = max(1, round_down(self.share * num_updates(cfg, images)))
        for node in warm_ups(cfg):
            node['end'] = min(node['end'], most)
