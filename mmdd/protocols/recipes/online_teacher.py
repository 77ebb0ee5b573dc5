"""The recipe of a teacher that labels every batch."""
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.registry import TASK_UTILS
from .soft import SoftRule


@TASK_UTILS.register_module()
class OnlineTeacher(SoftRule):
    """A teacher that labels every batch; the schedule stays that of the protocol.

    Beside a protocol with hard labels it differs in the labels alone: the same
    images, augmentations and updates.

    Args:
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``,
            before the teacher sees the batch; None for none.
        kwargs: See :class:`SoftRule`.
    """

    def __init__(self, mix: Optional[Dict[str, Any]] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.mix = mix

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        self.wrap(cfg, teacher=self.read_teachers(cfg), mix=self.mix, **self.combining)
