"""The recipe of FKD, SRe2L and D4M, and of LPLD's pool."""
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from mmengine.config import Config

from mmdd.datasets.soft_labels import batches_per_epoch
from mmdd.registry import TASK_UTILS
from .lengths import set_length, set_schedulers
from .stored import StoredLabels


@TASK_UTILS.register_module()
@dataclass
class FKDSchedule(StoredLabels):
    """Stored soft labels as in FKD, SRe2L and D4M.

    Args:
        epochs: Epochs, whatever the size of the set.
        batch_size: Batch of the student, and images among which partners are drawn.
        crop_area: Smallest and largest share of the area of a crop.
        flip_prob: Probability of a flip.
        cutmix: Alpha of CutMix; 0 for none.
        pool: Stored epochs, which later ones repeat in turn; ``epochs`` if None.
        keep: Share of the batches of all epochs that are stored, from the first on; every
            epoch is made of as many batches as before, drawn from these, as in LPLD. None
            stores all.
        seed: Seed of the labels. It is not that of the student: all read the same.
        lr_stretch: The cosine ends after ``lr_stretch * epochs``; 2 is EDC's.

    Raises:
        ValueError: If the pool is larger than the training, or there are two.
    """

    epochs: int = 300
    batch_size: int = 1024
    crop_area: Tuple[float, float] = (0.08, 1.)
    flip_prob: float = 0.5
    cutmix: float = 1.
    pool: Optional[int] = None
    keep: Optional[float] = None
    seed: int = 42
    lr_stretch: float = 1.

    limits = dict(epochs=dict(low=1), batch_size=dict(low=1), crop_area=dict(above=0, high=1),
                  flip_prob=dict(low=0, high=1), cutmix=dict(low=0), pool=dict(low=1),
                  keep=dict(above=0, high=1), seed=dict(low=0), lr_stretch=dict(above=0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool is not None and self.pool > self.epochs:
            raise ValueError(f'FKDSchedule: pool must be 1 to {self.epochs} epochs, got '
                             f'{self.pool}')
        if self.pool is not None and self.keep is not None:
            raise ValueError('FKDSchedule: pool repeats epochs and keep draws batches; set one '
                             'of them to None')

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, min(50, self.epochs))
        end = self.lr_stretch * self.epochs
        set_schedulers(cfg, 'T_max', int(end) if end == int(end) else end)
        loader = cfg.train_dataloader
        loader.batch_size = self.batch_size
        loader.sampler = dict(type='mmdd.ReplaySampler')
        self.store(cfg, num_classes, batch_size=self.batch_size, crop_area=list(self.crop_area),
                   flip_prob=self.flip_prob, cutmix=self.cutmix, seed=self.seed,
                   **self.stored(images))
        if self.keep is not None and images is not None:
            loader.sampler.type = 'mmdd.PoolSampler'
            loader.drop_last = images >= self.batch_size  # the pool has full batches alone
        loader.dataset = dict(type='mmdd.SoftLabelDataset', dataset=loader.dataset,
                              labels=self.labels, reuse=self.pool)
        self.wrap(cfg)

    def stored(self, images: Optional[int]) -> Dict[str, int]:
        """What is stored: epochs, and of a pool of batches also their number.

        ValueError for such a pool where the number of images is not known.
        """
        if self.keep is None:
            return dict(epochs=self.pool or self.epochs)
        if images is None:
            raise ValueError('FKDSchedule: the number of images is not known, so that '
                             'protocol.schedule.keep is no number of batches; set it to None')
        each = batches_per_epoch(images, self.batch_size)
        batches = max(1, int(self.keep * each * self.epochs))
        return dict(epochs=-(-batches // each), batches=batches)
