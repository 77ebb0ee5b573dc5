"""Targets of instance segmentation."""
from typing import Any, Dict, List, Mapping, Optional, Self, Sequence, Tuple, Union

import numpy as np

from mmdd.utils.picture import outline_mask, shade_mask
from ..mask import IGNORE, resize_mask
from ..rle import RunLengths
from .box_target import BoxTarget
from .mask_target import move_mask


class InstanceTarget(BoxTarget):
    """Objects in boxes, each with a mask of its own.

    Args:
        labels: (M,) class indices.
        bboxes: (M, 4) float32 xyxy in pixels.
        masks: (M, H, W) bool, or their codes.
    """

    parts = ('bboxes', 'masks')
    note = 'masks are run-length codes, area is that of the mask'

    def __init__(self, labels: np.ndarray, bboxes: np.ndarray,
                 masks: Union[np.ndarray, RunLengths]) -> None:
        super().__init__(labels, bboxes)
        self.codes = masks if isinstance(masks, RunLengths) else RunLengths.encode(masks)

    @property
    def masks(self) -> np.ndarray:
        """(M, H, W) bool, the pixels of each object."""
        return self.codes.decode()

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """Whether it is mmdet's ``DetDataSample`` with masks (``with_mask=True``)."""
        return 'gt_instances' in sample and 'masks' in sample.gt_instances

    @classmethod
    def _read(cls, instances: Any, labels: np.ndarray, bboxes: np.ndarray) -> 'InstanceTarget':
        return cls(labels, bboxes, instances.masks.to_ndarray())

    def check(self, size: Tuple[int, int], classes: Sequence[str], where: str) -> None:
        """Check boxes and the size of the masks."""
        super().check(size, classes, where)
        if len(self.codes) != len(self.bboxes) or self.codes.size != tuple(size):
            raise ValueError(
                f'{where}: {len(self.codes)} masks of {self.codes.size[1]}x{self.codes.size[0]} '
                f'for {len(self.bboxes)} boxes of a {size[1]}x{size[0]} image; they must agree')

    def own_parts(self) -> Dict[str, Any]:
        """Labels, boxes and the codes of the masks."""
        return dict(super().own_parts(), masks=self.codes)

    def joined(self, other: BoxTarget) -> 'InstanceTarget':
        """Its objects, then those of another target with masks.

        Raises:
            ValueError: If the other has none.
        """
        if not isinstance(other, InstanceTarget):
            raise ValueError('masks of objects cannot be joined with boxes alone: load the masks '
                             'of the real set, LoadAnnotations(with_bbox=True, with_mask=True)')
        boxes = BoxTarget(self.labels, self.bboxes).joined(other)
        return InstanceTarget(boxes.labels, boxes.bboxes, self.codes.joined(other.codes))

    def resized(self, size: Tuple[int, int], new_size: Tuple[int, int]) -> Self:
        """With stretched boxes and the nearest pixels."""
        return super().resized(size, new_size)._with(
            masks=resize_masks(self.masks, new_size))

    def flipped(self, size: Tuple[int, int]) -> Self:
        """With boxes and masks mirrored."""
        return super().flipped(size)._with(masks=self.masks[:, :, ::-1])

    def moved(self, size: Tuple[int, int], scale: float, shift: Sequence[float],
              min_visible: float) -> Self:
        """With boxes as in detection, and the nearest pixels."""
        masks = [move_mask(mask, size, scale, shift, False) for mask in self.masks]
        whole = self._with(masks=np.array(masks, bool).reshape(-1, *size))
        return super(InstanceTarget, whole).moved(size, scale, shift, min_visible)

    def object_pixels(self, label: int, box: Tuple[int, int, int, int],
                      index: int) -> np.ndarray:
        """The pixels (H, W) bool of an object."""
        return self.codes[index:index + 1].decode()[0]

    def composed(self, labels: np.ndarray, bboxes: np.ndarray, mask: Optional[np.ndarray],
                 background: Optional[int]) -> 'InstanceTarget':
        """The objects of which anything can be seen."""
        assert mask is not None
        seen = mask.any((1, 2))
        return InstanceTarget(labels[seen], bboxes[seen], mask[seen])

    def to_dict(self) -> Dict[str, Any]:
        """With ``masks``, their size and codes."""
        return dict(super().to_dict(), masks=dict(
            size=list(self.codes.size), counts=self.codes.counts.tolist()))

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> 'InstanceTarget':
        """Boxes and masks that :meth:`to_dict` described."""
        boxes = BoxTarget.from_dict(entry)
        return cls(boxes.labels, boxes.bboxes, RunLengths(**entry['masks']))

    def instance_fields(self, size: Tuple[int, int], keep: np.ndarray) -> Dict[str, Any]:
        """The masks in pixels of the input."""
        from mmdet.structures.mask import BitmapMasks
        masks = resize_masks(self.codes[keep].decode(), size)
        return dict(masks=BitmapMasks(masks.astype(np.uint8), *size))

    def coco_entries(self, size: Tuple[int, int]) -> List[Dict[str, Any]]:
        """Boxes with the codes of their masks; objects without a pixel are dropped."""
        if self.codes.size != tuple(size):
            raise ValueError(f'the masks are {self.codes.size[1]}x{self.codes.size[0]}, their '
                             f'image {size[1]}x{size[0]}; they must agree')
        return [dict(entry, area=area, segmentation=segmentation)
                for label, bbox, area, segmentation in zip(
                    self.labels, self.bboxes, self.codes.areas(), self.codes.entries())
                for entry in BoxTarget(np.array([label]), bbox[None]).coco_entries(size) if area]

    def shade(self, picture: np.ndarray, classes: Sequence[str]) -> None:
        """Each object in the colour of its class."""
        for mask, label in zip(self.masks, self.labels):
            shade_mask(picture, np.where(mask, label, IGNORE).astype(np.uint8), classes)

    def outline(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """A thin white outline of each object."""
        for mask, label in zip(self.masks, self.labels):
            outline_mask(picture, np.where(mask, label, IGNORE).astype(np.uint8), classes)


def resize_masks(masks: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Stretch masks (M, H, W) bool to ``size`` (height, width), nearest neighbour."""
    resized = [resize_mask(mask.astype(np.uint8), size) for mask in masks]
    return np.array(resized, bool).reshape(-1, *size)
