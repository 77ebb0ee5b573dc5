"""Targets of object detection."""
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Self, Sequence, Tuple

import cv2
import numpy as np

from mmdd.utils.picture import ASKED, class_colour, write_text
from .base import Reading, Target, make_target


class BoxTarget(Target):
    """Objects in boxes.

    Args:
        labels: (M,) class indices.
        bboxes: (M, 4) float32 xyxy in pixels.
    """

    parts: ClassVar[Tuple[str, ...]] = ('bboxes', )
    task = 'detection'
    counts_objects = True
    bboxes: np.ndarray
    note = 'boxes alone, segmentation is empty and area is that of the box'

    def __init__(self, labels: np.ndarray, bboxes: np.ndarray) -> None:
        super().__init__(labels)
        self.bboxes = np.asarray(bboxes)

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """Whether it is mmdet's ``DetDataSample``."""
        return 'gt_instances' in sample

    @classmethod
    def read(cls, sample: Any, classes: Sequence[str]) -> Reading:
        """Read the boxes.

        Those that stick out by at most one pixel are clipped to the image.
        """
        instances = sample.gt_instances
        bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
        bboxes = bboxes.cpu().numpy().astype(np.float32).reshape(-1, 4)
        size = _size(sample)
        found = cls._read(instances, instances.labels.cpu().numpy().astype(np.int64), bboxes)
        found.check(size, classes, sample.img_path)
        # COCO's right and bottom edges may be those of the image; VOC's are pixels inside.
        limit = np.array([size[1], size[0]] * 2, np.float32)
        return Reading(str(sample.img_id), size, found.with_parts(
            bboxes=np.clip(bboxes, 0, limit)))

    @classmethod
    def _read(cls, instances: Any, labels: np.ndarray, bboxes: np.ndarray) -> 'BoxTarget':
        return cls(labels, bboxes)

    def check(self, size: Tuple[int, int], classes: Sequence[str], where: str) -> None:
        """Check labels and boxes, see :func:`check_boxes`."""
        super().check(size, classes, where)
        check_boxes(self.bboxes, size, where)

    def own_parts(self) -> Dict[str, Any]:
        """Labels and boxes."""
        return dict(labels=self.labels, bboxes=self.bboxes)

    def select(self, keep: np.ndarray) -> Self:
        """The objects of a bool mask or of indices."""
        return type(self)(**{name: part[keep] for name, part in self.own_parts().items()})

    def joined(self, other: 'BoxTarget') -> 'BoxTarget':
        """Its objects, then those of another target of its type."""
        own, more = self.own_parts(), other.own_parts()
        return type(self)(**{name: np.concatenate([own[name], more[name]]) for name in own})

    def resized(self, size: Tuple[int, int], new_size: Tuple[int, int]) -> Self:
        """With stretched boxes."""
        return self._with(bboxes=self.bboxes * stretch(size, new_size))

    def flipped(self, size: Tuple[int, int]) -> Self:
        """With boxes counted from the right."""
        bboxes = self.bboxes.copy()
        bboxes[:, [0, 2]] = size[1] - self.bboxes[:, [2, 0]]
        return self._with(bboxes=bboxes)

    def moved(self, size: Tuple[int, int], scale: float, shift: Sequence[float],
              min_visible: float) -> Self:
        """With boxes clipped to the image; those of less than a pixel are dropped."""
        extent = np.array([size[1], size[0]] * 2)
        moved = (self.bboxes - extent / 2) * scale + extent / 2 + np.array([*shift] * 2) * extent
        clipped = moved.clip(0, extent)
        areas, left = ((b[:, 2:] - b[:, :2]).prod(1) for b in (moved, clipped))
        keep = ((clipped[:, 2:] - clipped[:, :2]) >= 1).all(1) & (left >= min_visible * areas)
        return self._with(bboxes=clipped.astype(np.float32)).select(keep)

    def without_small(self, least: float, size: Tuple[int, int],
                      new_size: Tuple[int, int]) -> Self:
        """Without boxes of a shorter side below ``least``."""
        bboxes = self.bboxes * stretch(size, new_size)
        return self.select(np.all(bboxes[:, 2:] - bboxes[:, :2] >= least, axis=1))

    def regions(self, size: Tuple[int, int], connected: bool = False
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The boxes and what they span."""
        boxes = self.bboxes * stretch(size, (1, 1))
        return self.labels, boxes, (boxes[:, 2:] - boxes[:, :2]).prod(1)

    def objects(self) -> Tuple[np.ndarray, np.ndarray]:
        """The boxes."""
        return self.labels, self.bboxes

    def stretched_objects(self, size: Tuple[int, int],
                          new_size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
        """The stretched boxes; masks, which take longer, are left alone."""
        return self.labels, self.bboxes * stretch(size, new_size)

    def composed(self, labels: np.ndarray, bboxes: np.ndarray, mask: Optional[np.ndarray],
                 background: Optional[int]) -> Target:
        """The boxes, with the mask where there is one."""
        return make_target(labels, bboxes=bboxes, mask=mask)

    def to_dict(self) -> Dict[str, Any]:
        """With ``bboxes``, to a thousandth of a pixel."""
        return dict(super().to_dict(), bboxes=np.round(self.bboxes, 3).tolist())

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> 'BoxTarget':
        """The boxes that :meth:`to_dict` described."""
        return cls(np.array(entry['labels'], np.int64),
                   np.array(entry['bboxes'], np.float32).reshape(-1, 4))

    def coco_entries(self, size: Tuple[int, int]) -> List[Dict[str, Any]]:
        """Boxes clipped to the image, without those that are left without area."""
        limit = np.array([size[1], size[0]] * 2, np.float64)
        bboxes = np.clip(np.asarray(self.bboxes, np.float64).reshape(-1, 4), 0, limit)
        entries = []
        for (x1, y1, x2, y2), label in zip(bboxes, self.labels):
            x, y, width, height = (round(float(v), 3) for v in (x1, y1, x2 - x1, y2 - y1))
            if width > 0 and height > 0:
                entries.append(dict(
                    label=int(label), bbox=[x, y, width, height], area=round(width * height, 3),
                    segmentation=[]))
        return entries

    def outline(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Thin white boxes."""
        for box in self.bboxes:
            x1, y1, x2, y2 = _scaled(box, factor)
            cv2.rectangle(picture, (x1, y1), (x2, y2), ASKED, 1)

    def draw(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Coloured boxes with class names."""
        for box, label in zip(self.bboxes, self.labels):
            x1, y1, x2, y2 = _scaled(box, factor)
            cv2.rectangle(picture, (x1, y1), (x2, y2), class_colour(int(label)), 2)
            write_text(picture, str(classes[int(label)]), x1 + 2, max(10, y1 + 11))


def check_boxes(bboxes: np.ndarray, size: Tuple[int, int], where: str) -> None:
    """Check that boxes lie in their image, with a tolerance of one pixel.

    Raises:
        ValueError: If one does not, or has no area; the message says which.
    """
    height, width = size
    for box in bboxes:
        x1, y1, x2, y2 = box
        if not (x1 >= -1 and y1 >= -1 and x2 <= width + 1 and y2 <= height + 1):  # nor with NaN
            raise ValueError(
                f'{where}: box {box.tolist()} exceeds the {width}x{height} image; correct its '
                f'annotation')
        if not (x2 > x1 and y2 > y1):
            raise ValueError(f'{where}: box {box.tolist()} is empty; correct its annotation')


def stretch(size: Tuple[int, int], new_size: Tuple[int, int]) -> np.ndarray:
    """Factors (4,) float32 of boxes when an image is stretched."""
    return np.array([new_size[1] / size[1], new_size[0] / size[0]] * 2, np.float32)


def _size(sample: Any) -> Tuple[int, int]:
    if 'height' in sample:
        return int(sample.height), int(sample.width)
    height, width = sample.ori_shape[:2]
    return int(height), int(width)


def _scaled(box: Sequence[float], factor: float) -> Tuple[int, ...]:
    return tuple(int(round(float(v) * factor)) for v in box)
