"""Targets of semantic segmentation."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Self, Sequence, Tuple, Union

import cv2
import numpy as np

from mmdd.utils.picture import name_regions, outline_mask, shade_mask
from ..mask import (
    BACKGROUND,
    IGNORE,
    connected_regions,
    decode_mask,
    encode_mask,
    mask_from_text,
    mask_to_text,
    resize_mask,
)
from .base import Reading, Target


class MaskTarget(Target):
    """A class for each pixel.

    Args:
        labels: (M,) class indices that are present, without 'background'.
        mask: (H, W) uint8 class indices, 255 to ignore; or its PNG.
    """

    parts = ('mask', )
    task = 'segmentation'

    def __init__(self, labels: np.ndarray, mask: Union[np.ndarray, bytes]) -> None:
        super().__init__(labels)
        self._mask = mask

    @property
    def mask(self) -> np.ndarray:
        """(H, W) uint8 class indices, 255 to ignore."""
        return decode_mask(self._mask) if isinstance(self._mask, bytes) else self._mask

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """Whether it is mmseg's ``SegDataSample``."""
        return 'gt_sem_seg' in sample and 'gt_instances' not in sample

    @classmethod
    def read(cls, sample: Any, classes: Sequence[str]) -> Reading:
        """Read the mask; an image is named by its file."""
        mask = sample.gt_sem_seg.data.cpu().numpy().reshape(sample.gt_sem_seg.shape[-2:])
        present = check_mask(mask, len(classes), sample.get('seg_map_path') or sample.img_path)
        labels = [i for i in present if classes[i] != BACKGROUND]
        return Reading(osp.splitext(osp.basename(sample.img_path))[0], tuple(mask.shape),
                       cls(np.array(labels, np.int64), encode_mask(mask.astype(np.uint8))))

    def check(self, size: Tuple[int, int], classes: Sequence[str], where: str) -> None:
        """Check the size and the class indices of the mask, see :func:`check_mask`."""
        super().check(size, classes, where)
        mask = self.mask
        if mask.shape != tuple(size):
            raise ValueError(f'{where}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image '
                             f'{size[1]}x{size[0]}; they must agree')
        check_mask(mask, len(classes), where)

    def own_parts(self) -> Dict[str, Any]:
        """Labels and the mask, packed if it is."""
        return dict(labels=self.labels, mask=self._mask)

    def packed(self) -> Self:
        """With the PNG of the mask."""
        return self._with(mask=encode_mask(self.mask))

    def resized(self, size: Tuple[int, int], new_size: Tuple[int, int]) -> Self:
        """With the nearest pixels."""
        return self._with(mask=resize_mask(self.mask, new_size))

    def flipped(self, size: Tuple[int, int]) -> Self:
        """With the mirrored mask."""
        return self._with(mask=np.ascontiguousarray(self.mask[:, ::-1]))

    def moved(self, size: Tuple[int, int], scale: float, shift: Sequence[float],
              min_visible: float) -> Self:
        """With the nearest pixels, 255 where they come from outside."""
        return self._with(mask=move_mask(self.mask, size, scale, shift, IGNORE))

    def regions(self, size: Tuple[int, int], connected: bool = False
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pixels of each class, or its connected regions."""
        mask = self.mask
        height, width = mask.shape
        found = [(label, *region) for label in self.labels
                 for region in _extents(mask == label, connected)]
        boxes = np.array([box for _, box, _ in found], np.float32).reshape(-1, 4)
        boxes /= np.array([width, height] * 2, np.float32)
        pixels = np.array([number for _, _, number in found], np.float32)
        return (np.array([label for label, _, _ in found], np.int64), boxes,
                (boxes[:, 2:] - boxes[:, :2]).prod(1) if connected else pixels / mask.size)

    def objects(self) -> Tuple[np.ndarray, np.ndarray]:
        """The connected regions of each class."""
        mask = self.mask
        found = [(label, region.box) for label in self.labels
                 for region in connected_regions(mask == label)]
        return (np.array([label for label, _ in found], np.int64),
                np.array([box for _, box in found]).reshape(-1, 4))

    def object_pixels(self, label: int, box: Tuple[int, int, int, int],
                      index: int) -> np.ndarray:
        """The pixels (H, W) bool of an object of :meth:`objects`."""
        x1, y1, x2, y2 = box
        inside = self.mask == label
        # No two have the same box: regions that reach all four sides of it would cross.
        own, = (region for region in connected_regions(inside) if region.box == box)
        inside = np.zeros_like(inside)
        inside[y1:y2, x1:x2] = own.inside
        return inside

    def composed(self, labels: np.ndarray, bboxes: np.ndarray, mask: Optional[np.ndarray],
                 background: Optional[int]) -> 'MaskTarget':
        """The mask with the classes that can be seen in it."""
        assert mask is not None
        seen = [i for i in np.unique(mask) if i not in (IGNORE, background)]
        return type(self)(np.array(seen, np.int64), mask)

    def to_dict(self) -> Dict[str, Any]:
        """With ``mask``, the text of a PNG."""
        return dict(super().to_dict(), mask=mask_to_text(self.mask))

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> 'MaskTarget':
        """The mask that :meth:`to_dict` described."""
        return cls(np.array(entry['labels'], np.int64), mask_from_text(entry['mask']))

    def shade(self, picture: np.ndarray, classes: Sequence[str]) -> None:
        """Each class in its colour."""
        shade_mask(picture, self.mask, classes)

    def outline(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Thin white outlines."""
        outline_mask(picture, self.mask, classes)

    def draw(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """The name of each class, once."""
        name_regions(picture, self.mask, classes)


def check_mask(mask: np.ndarray, num_classes: int, where: str) -> List[int]:
    """Check the class indices of a mask and return those that occur, without 255.

    Raises:
        ValueError: If one is unknown; the message says which and where.
    """
    present = [int(i) for i in np.unique(mask) if i != IGNORE]
    unknown = [i for i in present if not 0 <= i < num_classes]
    if unknown:
        raise ValueError(
            f'{where}: the mask holds the class ids {unknown[:8]}, but the dataset has '
            f'{num_classes} classes (0 to {num_classes - 1}, {IGNORE} is ignored); correct the '
            f'mask, metainfo.classes or reduce_zero_label')
    return present


def move_mask(mask: np.ndarray, size: Tuple[int, int], scale: float, shift: Sequence[float],
              outside: int) -> np.ndarray:
    """A mask (H, W) after :meth:`Target.moved`, ``outside`` where pixels come from there."""
    rows, in_rows = _sources(size[0], scale, shift[1])
    columns, in_columns = _sources(size[1], scale, shift[0])
    return np.where(in_rows[:, None] & in_columns[None], mask[rows][:, columns],
                    outside).astype(mask.dtype)


def _sources(size: int, scale: float, shift: float) -> Tuple[np.ndarray, np.ndarray]:
    """Which of ``size`` pixels each pixel of a view comes from, and whether it exists."""
    places = (np.arange(size) + 0.5 - size / 2 - shift * size) / scale + size / 2
    return np.floor(places.clip(0, size - 1)).astype(int), (places >= 0) & (places < size)


def _extents(inside: np.ndarray, connected: bool) -> List[Tuple[Tuple[int, ...], int]]:
    """(xyxy box, number of pixels) of what a bool mask (H, W) shows.

    One entry, or one for each connected region.
    """
    if connected:
        return [(region.box, region.pixels) for region in connected_regions(inside)]
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    return [((x, y, x + width, y + height), int(inside.sum()))]
