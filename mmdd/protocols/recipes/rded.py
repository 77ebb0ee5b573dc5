"""The recipe of RDED."""
import math
from typing import Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from mmdd.registry import TASK_UTILS
from .lengths import set_length, set_schedulers
from .soft import SoftRule

Table = Sequence[Tuple[int, int]]


@TASK_UTILS.register_module()
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
        kwargs: See :class:`SoftRule`.
    """

    limits = dict(epochs=dict(low=1), batches=dict(low=1), factors=dict(low=1), fixed=dict(low=1),
                  factor=dict(low=1), lr_stretch=dict(above=0), mix=('CutMix', 'Mixup'),
                  first_validation=dict(low=0, high=1))

    def __init__(self,
                 epochs: int = 300,
                 batches: Table = ((1, 10), (10, 50), (50, 100)),
                 factors: Table = ((100, 2), (1000, 2)),
                 fixed: Table = ((200, 100), ),
                 factor: Optional[int] = None,
                 lr_stretch: float = 2.,
                 mix: str = 'CutMix',
                 temperature: Optional[float] = None,
                 pollute_norm: bool = True,
                 first_validation: float = 0.8,
                 rates: Optional[Dict[str, float]] = None,
                 **kwargs) -> None:
        temperatures = dict(CutMix=20., Mixup=4.)
        if mix not in temperatures:
            raise ValueError(f'RDEDSchedule: mix must be CutMix or Mixup, got {mix!r}')
        temperature = temperatures[mix] if temperature is None else temperature
        super().__init__(temperature=temperature, **kwargs)
        self.epochs = epochs
        self.batches, self.factors, self.fixed = batches, dict(factors), dict(fixed)
        self.factor = factor or (2 if self.image_size > 64 else 1)
        self.lr_stretch = lr_stretch
        self.mix = mix
        self.pollute_norm = pollute_norm
        self.first_validation = first_validation
        self.rates = dict(rates or {})

    def batch_size(self, images: Optional[int], num_classes: int) -> int:
        """Batch of the student; the largest one for the full set."""
        if num_classes in self.fixed:
            return self.fixed[num_classes]
        # Rounded up, so that a set that misses an image keeps its batch.
        ipc = math.inf if images is None else math.ceil(images / num_classes)
        batch = at_least(self.batches, ipc)
        return batch * self.factors.get(num_classes, 1)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, 10)
        # RDED looks after epoch 10 k where the one before, counted from 0, is beyond the share.
        cfg.train_cfg.val_begin = min(
            self.epochs, int(self.first_validation * self.epochs) + 2)
        self.set_rate(cfg)
        cfg.train_dataloader.batch_size = self.batch_size(images, num_classes)
        for step in leaf_dataset(cfg.train_dataloader.dataset)['pipeline']:
            if step['type'].endswith('PatchShuffle'):
                step['factor'] = self.factor
            elif step['type'].endswith('RandomResizedCrop'):
                step['crop_ratio_range'] = (1 / self.factor, 1.)
        set_schedulers(cfg, 'T_max', self.lr_stretch * self.epochs)
        self.wrap(cfg, teacher=self.read_teachers(cfg), pollute_norm=self.pollute_norm,
                  **self.combining,
                  mix=dict(type=self.mix, alpha=1. if self.mix == 'CutMix' else 0.8))

    def set_rate(self, cfg: Config) -> None:
        """Set the learning rate that RDED takes for the network of a config, in place."""
        kind = str(cfg.model.get('backbone', {}).get('type')).rpartition('.')[2]
        for beginning, rate in self.rates.items():
            if kind.startswith(beginning):
                cfg.optim_wrapper.optimizer.lr = rate


def at_least(table: Table, ipc: float) -> int:
    """The value of the last entry (limit, value) with ``limit <= ipc``, else the first one."""
    table = sorted(table)
    return ([value for limit, value in table if limit <= ipc] or [table[0][1]])[-1]
