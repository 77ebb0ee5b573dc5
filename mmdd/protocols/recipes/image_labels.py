"""The recipe of one soft label for each image."""
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.datasets.views import loader_dataset
from mmdd.registry import TASK_UTILS
from .stored import StoredLabels


@TASK_UTILS.register_module()
class ImageLabels(StoredLabels):
    """One stored soft label for each image; the schedule stays that of the protocol.

    The teacher sees the images as they are, through the pipeline of the test set. Students
    augment them anew in each epoch, which the labels know nothing of.

    Args:
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``, which mixes
            the labels by area; None for none.
        kwargs: See :class:`StoredLabels`.

    Raises:
        ValueError: If one of several teachers is to be drawn.
    """

    def __init__(self, mix: Optional[Dict[str, Any]] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if self.combine != 'mean':
            raise ValueError("ImageLabels: an image has one label, the mean of the teachers; set "
                             "protocol.schedule.combine='mean'")
        self.mix = mix

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        self.store(cfg, num_classes, regime='image', epochs=1,
                   pipeline=loader_dataset(cfg, 'test_dataloader').get('pipeline'))
        cfg.train_dataloader.dataset = dict(
            type='mmdd.ImageLabelDataset', dataset=cfg.train_dataloader.dataset,
            labels=self.labels)
        self.wrap(cfg, mix=self.mix, per_image=True)
