"""The recipe of RDED."""
import math
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import short_name
from .lengths import set_length, set_schedulers
from .soft import SoftRule

Table = Sequence[Tuple[int, int]]


@TASK_UTILS.register_module()
@dataclass
class RDEDSchedule(SoftRule):
    """An online teacher as in RDED; the batch depends on the images per class.

    Args:
        epochs: Epochs, whatever the size of the set.
        batches: (images per class, batch): the last entry that is not larger counts,
            so an IPC of 5 takes that of 1, and one of 20 that of 10.
        factors: (number of classes, factor on the batch).
        fixed: (number of classes, batch), which counts before ``batches``.
        factor: Patches along a side of PatchShuffle; None is 2 for images above
            64 pixels and 1 for smaller ones. Crops take at least 1 / factor of the area.
        lr_stretch: The cosine ends after ``lr_stretch * epochs``. 2 is RDED, where
            the last learning rate is half of the first; with 1 it is 0.
        mix: 'CutMix' or 'Mixup'.
        temperature: None is 20 for CutMix and 4 for Mixup.
        pollute_norm: See ``SoftLabelClassifier``.
        first_validation: Evaluated after every tenth epoch beyond this share of the epochs.
        rates: Learning rate by the beginning of the backbone's type.
    """

    epochs: int = 300
    batches: Table = ((1, 10), (10, 50), (50, 100))
    factors: Table = ((100, 2), (1000, 2))
    fixed: Table = ((200, 100), )
    factor: Optional[int] = None
    lr_stretch: float = 2.
    mix: str = 'CutMix'
    pollute_norm: bool = True
    first_validation: float = 0.8
    rates: Optional[Dict[str, float]] = None

    limits = dict(epochs=dict(low=1), batches=dict(low=1), factors=dict(low=1), fixed=dict(low=1),
                  factor=dict(low=1), lr_stretch=dict(above=0), mix=('CutMix', 'Mixup'),
                  first_validation=dict(low=0, high=1))

    def __post_init__(self) -> None:
        if self.temperature is None and self.mix == 'Mixup':
            self.temperature = 4.
        super().__post_init__()

    def batch_size(self, images: Optional[int], num_classes: int) -> int:
        """Batch of the student; the largest one for the full set."""
        if num_classes in dict(self.fixed):
            return dict(self.fixed)[num_classes]
        # Rounded up, so that a set that misses an image keeps its batch.
        ipc = math.inf if images is None else math.ceil(images / num_classes)
        return at_least(self.batches, ipc) * dict(self.factors).get(num_classes, 1)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, 10)
        # RDED looks after epoch 10 k where the one before, counted from 0, is beyond the share.
        cfg.train_cfg.val_begin = min(
            self.epochs, int(self.first_validation * self.epochs) + 2)
        kind = short_name(cfg.model.get('backbone', {}).get('type'))
        for beginning, rate in (self.rates or {}).items():
            if kind.startswith(beginning):
                cfg.optim_wrapper.optimizer.lr = rate
        cfg.train_dataloader.batch_size = self.batch_size(images, num_classes)
        factor = self.factor or (2 if self.image_size > 64 else 1)
        for step in leaf_dataset(cfg.train_dataloader.dataset)['pipeline']:
            if short_name(step['type']) == 'PatchShuffle':
                step['factor'] = factor
            elif short_name(step['type']).endswith('RandomResizedCrop'):
                step['crop_ratio_range'] = (1 / factor, 1.)
        set_schedulers(cfg, 'T_max', self.lr_stretch * self.epochs)
        self.wrap(cfg, teacher=self.read_teachers(cfg), pollute_norm=self.pollute_norm,
                  **self.combining,
                  mix=dict(type=self.mix, alpha=1. if self.mix == 'CutMix' else 0.8))


def at_least(table: Table, ipc: float) -> int:
    """The value of the last entry (limit, value) with ``limit <= ipc``, else the first one."""
    table = sorted(table)
    return ([value for limit, value in table if limit <= ipc] or [table[0][1]])[-1]
