"""Targets with boxes and a mask of the classes."""
from typing import Any, Dict, Mapping, Self, Sequence, Tuple, Union

import numpy as np

from .box_target import BoxTarget
from .mask_target import MaskTarget


class MaskedBoxTarget(BoxTarget):
    """Objects in boxes, whose pixels are those of their class inside.

    Args:
        labels: (M,) class indices of the boxes.
        bboxes: (M, 4) float32 xyxy in pixels.
        mask: (H, W) uint8 class indices, 255 to ignore; or its PNG.
    """

    parts = ('bboxes', 'mask')
    task = 'segmentation'

    def __init__(self, labels: np.ndarray, bboxes: np.ndarray,
                 mask: Union[np.ndarray, bytes]) -> None:
        super().__init__(labels, bboxes)
        self.classes_map = MaskTarget(self.labels, mask)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) uint8 class indices, 255 to ignore."""
        return self.classes_map.mask

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """No data sample: mm* models learn from one of both."""
        return False

    def check(self, size: Tuple[int, int], classes: Sequence[str], where: str) -> None:
        """Check boxes and mask."""
        super().check(size, classes, where)
        self.classes_map.check(size, classes, where)

    def own_parts(self) -> Dict[str, Any]:
        """Labels, boxes and the mask."""
        return dict(super().own_parts(), mask=self.classes_map.own_parts()['mask'])

    def select(self, keep: np.ndarray) -> Self:
        """The boxes of a bool mask or of indices; the mask stays."""
        return self._with(labels=self.labels[keep], bboxes=self.bboxes[keep])

    def packed(self) -> Self:
        """With the PNG of the mask."""
        return self._with_mask(self.classes_map.packed())

    def resized(self, size: Tuple[int, int], new_size: Tuple[int, int]) -> Self:
        """With stretched boxes and the nearest pixels."""
        return super().resized(size, new_size)._with_mask(
            self.classes_map.resized(size, new_size))

    def flipped(self, size: Tuple[int, int]) -> Self:
        """With boxes and mask mirrored."""
        return super().flipped(size)._with_mask(self.classes_map.flipped(size))

    def moved(self, size: Tuple[int, int], scale: float, shift: Sequence[float],
              min_visible: float) -> Self:
        """With boxes as in detection, and the mask as in segmentation."""
        return super().moved(size, scale, shift, min_visible)._with_mask(
            self.classes_map.moved(size, scale, shift, min_visible))

    def _with_mask(self, mask: MaskTarget) -> Self:
        return self._with(mask=mask.own_parts()['mask'])

    def object_pixels(self, label: int, box: Tuple[int, int, int, int],
                      index: int) -> np.ndarray:
        """The pixels (H, W) bool of the class; those in its box are the object's."""
        return self.mask == label

    def to_dict(self) -> Dict[str, Any]:
        """With ``bboxes`` and ``mask``."""
        return dict(super().to_dict(), mask=self.classes_map.to_dict()['mask'])

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> 'MaskedBoxTarget':
        """Boxes and mask that :meth:`to_dict` described."""
        boxes, mask = BoxTarget.from_dict(entry), MaskTarget.from_dict(entry)
        return cls(boxes.labels, boxes.bboxes, mask.mask)

    def shade(self, picture: np.ndarray, classes: Sequence[str]) -> None:
        """Each class of the mask in its colour."""
        self.classes_map.shade(picture, classes)

    def outline(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Thin white outlines and boxes."""
        self.classes_map.outline(picture, classes, factor)
        super().outline(picture, classes, factor)

    def draw(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Coloured boxes, and the names of both."""
        super().draw(picture, classes, factor)
        self.classes_map.draw(picture, classes, factor)
