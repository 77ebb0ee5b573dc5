"""Access to the parts of a target as attributes of what it belongs to."""
from typing import Any, Optional

import numpy as np

from .base import Target, make_target

# A part that is not given, where None means that there is none.
UNSET: Any = type('Unset', (), {'__repr__': lambda self: 'UNSET'})()


class Labelled:
    """Has a ``target``; its parts are read, and set, as attributes of the object itself."""

    target: Target

    @property
    def labels(self) -> np.ndarray:
        """(M,) class indices."""
        return self.target.labels

    @labels.setter
    def labels(self, value: np.ndarray) -> None:
        self.target = self.target.with_parts(labels=value)

    @property
    def bboxes(self) -> Optional[np.ndarray]:
        """(M, 4) float32 xyxy in pixels; None without boxes."""
        return self.target.bboxes

    @bboxes.setter
    def bboxes(self, value: Optional[np.ndarray]) -> None:
        self.target = self.target.with_parts(bboxes=value)

    @property
    def mask(self) -> Optional[np.ndarray]:
        """(H, W) uint8 class indices, 255 to ignore; None without a mask."""
        return self.target.mask

    @mask.setter
    def mask(self, value: Optional[np.ndarray]) -> None:
        self.target = self.target.with_parts(mask=value)


def resolve(target: Optional[Target], **parts: Any) -> Target:
    """The target of an object that is made of a target, of parts, or of a target with new parts.

    So ``dataclasses.replace(sample, bboxes=...)`` keeps what is not named.

    Args:
        target: The target; None makes one of the parts.
        parts: ``labels``, ``bboxes``, ``mask``; ``UNSET`` where not given.
    """
    given = {name: part for name, part in parts.items() if part is not UNSET}
    if target is None:
        return make_target(**{'labels': np.zeros(0, np.int64), **given})
    return target.with_parts(**given) if given else target
