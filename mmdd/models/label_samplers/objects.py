"""The objects of a real set, each with its size and place on the canvas of synthetic images."""
from typing import NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from mmdd.structures import IGNORE, Canvas, RealAnnotation, resize_mask

# An ignored rim around an object, as VOC draws it, is at most this share of the shorter side wide.
RIM = 0.015


class Patch(NamedTuple):
    """The pixels of an object; its box touches h x w whole pixels.

    Attributes:
        inside: (h, w) bool, pixels of the object.
        rim: (h + 2 margin, w + 2 margin) bool, pixels to ignore along its outline.
        margin: By how many pixels the rim sticks out of the box.
    """
    inside: np.ndarray
    rim: np.ndarray
    margin: int


class ObjectPool:
    """All objects of a real set.

    In detection a box is an object, with its mask where it has one, in segmentation a connected
    region of a class (:func:`~mmdd.structures.mask.connected_regions`); where an image has boxes
    and a mask, a box is, with the pixels of its class inside. Objects whose shorter side is below
    ``canvas.min_box`` are left out. The order of ``annotations`` does not matter; their ids are
    distinct.

    Args:
        annotations: Labels of real images with boxes, masks or both.
        num_classes: Number of classes of the real set.
        canvas: Images are stretched to its size.

    Attributes:
        annotations: Those, sorted by id.
        image: (N,) which of them an object is in.
        own: (N,) which of the objects of its image it is, in the order of its target.
        labels: (N,) int64 class indices.
        boxes: (N, 4) float32 xyxy in pixels of the canvas.
        counts: (I, K) objects of each image and class.

    Raises:
        ValueError: If there is no object.
    """

    def __init__(self, annotations: Sequence[RealAnnotation], num_classes: int,
                 canvas: Canvas) -> None:
        self.annotations = sorted(annotations, key=lambda annotation: annotation.image_id)
        self.canvas = canvas
        image, labels, boxes, own = [], [], [], []
        for index, annotation in enumerate(self.annotations):
            own_labels, own_boxes, order = objects_of(annotation, canvas)
            image += [index] * len(own_labels)
            labels.append(own_labels)
            boxes.append(own_boxes)
            own.append(order)
        self.image = np.array(image, np.int64)
        if not len(image):
            raise ValueError(
                f'ComposedLabelSampler: no object of the {len(annotations)} real images is at '
                f'least {canvas.min_box} pixels wide and high at {canvas.size}; lower '
                f'model.min_box or raise model.image_size')
        self.labels, self.boxes = np.concatenate(labels), np.concatenate(boxes)
        self.own = np.concatenate(own)
        self.counts = np.zeros((len(self.annotations), num_classes), np.int64)
        np.add.at(self.counts, (self.image, self.labels), 1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def areas(self) -> np.ndarray:
        """(N,) square pixels of the boxes on the canvas."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)

    def patch(self, index: int) -> Patch:
        """The pixels of an object of an image with a mask, or with masks of its objects."""
        annotation, label = self.annotations[self.image[index]], self.labels[index]
        target = annotation.resized(self.canvas.size)
        x1, y1, x2, y2 = box = whole_pixels(self.boxes[index])
        inside = target.object_pixels(label, box, int(self.own[index]))
        if target.mask is None:
            inside = inside[y1:y2, x1:x2]
            return Patch(inside, np.zeros_like(inside), 0)
        margin = max(1, round(RIM * min(self.canvas.size)))
        near = cv2.dilate(inside.astype(np.uint8), np.ones((2 * margin + 1, ) * 2, np.uint8))
        rim = np.pad((target.mask == IGNORE) & (near > 0), margin)
        return Patch(inside[y1:y2, x1:x2], rim[y1:y2 + 2 * margin, x1:x2 + 2 * margin], margin)


def objects_of(annotation: RealAnnotation,
               canvas: Canvas) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The objects of one image in a fixed order.

    Returns:
        tuple: labels (M,), boxes (M, 4) on the canvas, and places (M,) in its target.
    """
    height, width = canvas.size
    labels, boxes = annotation.target.stretched_objects(annotation.size, canvas.size)
    boxes = np.clip(boxes, 0, [width, height] * 2).astype(np.float32).reshape(-1, 4)
    keep = np.flatnonzero(((boxes[:, 2:] - boxes[:, :2]) >= max(canvas.min_box, 1e-3)).all(1))
    order = keep[np.lexsort((*boxes[keep].T, labels[keep]))]
    return labels[order], boxes[order], order


def whole_pixels(box: np.ndarray) -> Tuple[int, int, int, int]:
    """The whole pixels (x1, y1, x2, y2) that a box touches."""
    x1, y1 = np.floor(box[:2] + 1e-4).astype(int)
    x2, y2 = np.ceil(box[2:] - 1e-4).astype(int)
    return int(x1), int(y1), int(x2), int(y2)


def paint(mask: np.ndarray, patch: Patch, box: np.ndarray, label: int, fill: int) -> None:
    """Put an object into a label map, in place.

    Its pixels cover what is there. Its rim, to be ignored, covers nothing but ``fill``.

    Args:
        mask: (H, W) uint8 class indices.
        patch: Its pixels; stretched to ``box``, nearest neighbour.
        box: (4,) xyxy where it goes.
        label: Its class index.
        fill: What stands where nothing is.
    """
    x1, y1, x2, y2 = whole_pixels(box)
    margin = patch.margin
    rim = resize_bool(patch.rim, (y2 - y1 + 2 * margin, x2 - x1 + 2 * margin))
    around = np.zeros((mask.shape[0] + 2 * margin, mask.shape[1] + 2 * margin), bool)
    around[y1:y2 + 2 * margin, x1:x2 + 2 * margin] = rim
    mask[around[margin:-margin, margin:-margin] & (mask == fill)] = IGNORE
    mask[y1:y2, x1:x2][resize_bool(patch.inside, (y2 - y1, x2 - x1))] = label


def visible_pixels(patches: Sequence[Patch], boxes: np.ndarray,
                   size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """What can be seen of objects that lie on one another, later ones on earlier ones.

    Args:
        patches: Pixels of M objects; stretched to their boxes, nearest neighbour.
        boxes: (M, 4) xyxy where they go.
        size: (height, width) of the canvas.

    Returns:
        tuple: (M, H, W) bool; and (M, 4) float32 boxes, around what is left where something is
        covered, else as they were.
    """
    numbers, pixels = np.zeros(size, np.int32), []
    for number, (patch, box) in enumerate(zip(patches, boxes), 1):
        x1, y1, x2, y2 = whole_pixels(box)
        inside = resize_bool(patch.inside, (y2 - y1, x2 - x1))
        numbers[y1:y2, x1:x2][inside] = number
        pixels.append(inside.sum())
    seen, left = numbers == np.arange(1, len(boxes) + 1)[:, None, None], boxes.copy()
    for index in np.flatnonzero(seen.sum((1, 2)) < pixels):
        x, y, width, height = cv2.boundingRect(seen[index].astype(np.uint8))
        left[index] = x, y, x + width, y + height
    return seen, left


def resize_bool(inside: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Stretch a bool mask to ``size`` (height, width), nearest neighbour."""
    return resize_mask(inside.astype(np.uint8), size) > 0
