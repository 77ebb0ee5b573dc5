"""What recipes with labels on disk have in common."""
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.datasets.label_codec import FP16, PRECISIONS
from .soft import SoftRule


class StoredLabels(SoftRule):
    """A protocol whose labels a teacher writes once, before any student is trained.

    Args:
        topk: Classes whose logits are stored; all if None. The others share what
            is left of the probability at ``temperature``.
        precision: 'fp16', or 'int8': codes of one byte between the smallest and the largest
            logit of an image.
        labels: Folder of labels that are there already; made under the work dir if None.
        kwargs: See :class:`SoftRule`.
    """

    limits = dict(topk=dict(low=1), precision=PRECISIONS)

    def __init__(self, topk: Optional[int] = None, precision: str = FP16,
                 labels: Optional[str] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.topk, self.precision, self.labels = topk, precision, labels

    def store(self, cfg: Config, num_classes: int, **settings: Any) -> None:
        """Say in a student config which labels it needs; ``write_soft_labels`` reads it.

        Args:
            cfg: Student config, changed in place.
            num_classes: Classes K.
            settings: Settings of the labels beside those that all have.

        Raises:
            ValueError: If there are fewer than ``topk`` other classes.
        """
        if self.topk is not None and not 0 < self.topk < num_classes:
            raise ValueError(f'{type(self).__name__}: topk must be 1 to {num_classes - 1}, got '
                             f'{self.topk}')
        more: Dict[str, Any] = dict(self.combining)
        if self.precision != FP16:
            more['precision'] = self.precision
        # The Runner does not know it.
        cfg.soft_labels = dict(teacher=self.read_teachers(cfg), image_size=self.image_size,
                               topk=self.topk, temperature=self.temperature, **settings, **more)
