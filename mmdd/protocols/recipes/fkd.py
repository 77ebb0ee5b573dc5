"""The recipe of FKD, SRe2L and D4M."""
from typing import Optional, Tuple

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .lengths import set_length, set_schedulers
from .soft import SoftRule


@TASK_UTILS.register_module()
class FKDSchedule(SoftRule):
    """Stored soft labels as in FKD, SRe2L and D4M.

    Args:
        epochs: Epochs, whatever the size of the set.
        batch_size: Batch of the student, and images among which partners are drawn.
        crop_area: Smallest and largest share of the area of a crop.
        flip_prob: Probability of a flip.
        cutmix: Alpha of CutMix; 0 for none.
        topk: Classes whose logits are stored; all if None. The others share what
            is left of the probability at ``temperature``.
        pool: Stored epochs, which later ones repeat; ``epochs`` if None.
        seed: Seed of the labels. It is not that of the student: all read the same.
        labels: Folder of labels that are there already; made under the work dir if None.
        kwargs: See :class:`SoftRule`.
    """

    limits = dict(epochs=dict(low=1), batch_size=dict(low=1), crop_area=dict(above=0, high=1),
                  flip_prob=dict(low=0, high=1), cutmix=dict(low=0), topk=dict(low=1),
                  pool=dict(low=1), seed=dict(low=0))

    def __init__(self,
                 epochs: int = 300,
                 batch_size: int = 1024,
                 crop_area: Tuple[float, float] = (0.08, 1.),
                 flip_prob: float = 0.5,
                 cutmix: float = 1.,
                 topk: Optional[int] = None,
                 pool: Optional[int] = None,
                 seed: int = 42,
                 labels: Optional[str] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if pool is not None and not 1 <= pool <= epochs:
            raise ValueError(f'FKDSchedule: pool must be 1 to {epochs} epochs, got {pool}')
        self.epochs = epochs
        self.batch_size = batch_size
        self.crop_area, self.flip_prob, self.cutmix = crop_area, flip_prob, cutmix
        self.topk, self.pool, self.seed, self.labels = topk, pool, seed, labels

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, min(50, self.epochs))
        set_schedulers(cfg, 'T_max', self.epochs)
        if self.topk is not None and not 0 < self.topk < num_classes:
            raise ValueError(f'FKDSchedule: topk must be 1 to {num_classes - 1}, got {self.topk}')
        # Read by write_soft_labels; the Runner does not know it.
        cfg.soft_labels = dict(
            teacher=self.read_teacher(cfg), epochs=self.pool or self.epochs,
            batch_size=self.batch_size, image_size=self.image_size,
            crop_area=list(self.crop_area), flip_prob=self.flip_prob, cutmix=self.cutmix,
            topk=self.topk, temperature=self.temperature, seed=self.seed)
        loader = cfg.train_dataloader
        loader.batch_size = self.batch_size
        loader.dataset = dict(type='mmdd.SoftLabelDataset', dataset=loader.dataset,
                              labels=self.labels, reuse=self.pool)
        loader.sampler = dict(type='mmdd.ReplaySampler')
        self.wrap(cfg)
