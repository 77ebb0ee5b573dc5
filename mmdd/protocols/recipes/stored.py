"""Recipes with labels on disk: what they have in common, and one label for each image."""
from dataclasses import dataclass
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.datasets.label_codec import FP16, PRECISIONS
from mmdd.datasets.views import loader_dataset
from mmdd.registry import TASK_UTILS
from .soft import SoftRule


@dataclass
class StoredLabels(SoftRule):
    """A protocol whose labels a teacher writes once, before any student is trained.

    Args:
        topk: Classes whose logits are stored; all if None. The others share what
            is left of the probability at ``temperature``.
        precision: 'fp16', or 'int8': codes of one byte between the smallest and the largest
            logit of an image.
        labels: Folder of labels that are there already; made under the work dir if None.
    """

    topk: Optional[int] = None
    precision: str = FP16
    labels: Optional[str] = None

    limits = dict(topk=dict(low=1), precision=PRECISIONS)

    def store(self, cfg: Config, num_classes: int, **settings: Any) -> None:
        """Say in a student config which labels it needs; ``write_soft_labels`` reads it.

        ``settings`` are those beside what all labels have. ValueError where ``topk`` is not below
        the number of classes, or a teacher has other classes.
        """
        if self.topk is not None and self.topk >= num_classes:
            raise ValueError(f'{type(self).__name__}: topk must be 1 to {num_classes - 1}, got '
                             f'{self.topk}')
        if self.precision != FP16:
            settings['precision'] = self.precision
        # The Runner does not know it.
        cfg.soft_labels = dict(
            teacher=self.read_teachers(cfg), image_size=self.image_size, topk=self.topk,
            temperature=self.temperature, **settings, **self.combining)


@TASK_UTILS.register_module()
@dataclass
class ImageLabels(StoredLabels):
    """One stored soft label for each image; the schedule stays that of the protocol.

    The teacher sees the images as they are, through the pipeline of the test set. Students
    augment them anew in each epoch, which the labels know nothing of.

    Args:
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``, which mixes
            the labels by area; None for none.

    Raises:
        ValueError: If one of several teachers is to be drawn.
    """

    mix: Optional[Dict[str, Any]] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.combine != 'mean':
            raise ValueError("ImageLabels: an image has one label, the mean of the teachers; set "
                             "protocol.schedule.combine='mean'")

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        self.store(cfg, num_classes, regime='image', epochs=1,
                   pipeline=loader_dataset(cfg, 'test_dataloader').get('pipeline'))
        cfg.train_dataloader.dataset = dict(
            type='mmdd.ImageLabelDataset', dataset=cfg.train_dataloader.dataset,
            labels=self.labels)
        self.wrap(cfg, mix=self.mix, per_image=True)
