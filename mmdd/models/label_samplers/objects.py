"""The objects of a real set, each with its size and place on the canvas of synthetic images."""
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from mmdd.structures import IGNORE, Canvas, RealAnnotation, resize_mask

# An ignored rim around an object, as VOC draws it, is at most this share of the shorter side wide.
RIM = 0.015


class Patch(NamedTuple):
    """The pixels of an object inside the whole pixels (h, w) that its box touches.

    Attributes:
        inside: (h, w) bool, pixels of the object.
        rim: (h, w) bool, pixels to ignore along its outline.
    """
    inside: np.ndarray
    rim: np.ndarray


class ObjectPool:
    """All objects of a real set.

    In detection a box is an object, in segmentation a connected region (8 neighbours) of a
    class; where an image has boxes and a mask, a box is, with the pixels of its class inside.
    Objects whose shorter side is below ``canvas.min_box`` are left out. The order of
    ``annotations`` does not matter; their ids are distinct.

    Args:
        annotations: Labels of real images with boxes, masks or both.
        num_classes: Number of classes of the real set.
        canvas: Images are stretched to its size.

    Attributes:
        annotations: Those, sorted by id.
        image: (N,) which of them an object is in.
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
        image, labels, boxes = [], [], []
        for index, annotation in enumerate(self.annotations):
            own_labels, own_boxes = objects_of(annotation, canvas)
            image += [index] * len(own_labels)
            labels.append(own_labels)
            boxes.append(own_boxes)
        self.image = np.array(image, np.int64)
        if not len(image):
            raise ValueError(
                f'ComposedLabelSampler: no object of the {len(annotations)} real images is at '
                f'least {canvas.min_box} pixels wide and high at {canvas.size}; lower '
                f'model.min_box or raise model.image_size')
        self.labels, self.boxes = np.concatenate(labels), np.concatenate(boxes)
        self.counts = np.zeros((len(self.annotations), num_classes), np.int64)
        np.add.at(self.counts, (self.image, self.labels), 1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def areas(self) -> np.ndarray:
        """(N,) square pixels of the boxes on the canvas."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)

    def patch(self, index: int) -> Patch:
        """The pixels of an object of an image with a mask."""
        annotation, label = self.annotations[self.image[index]], self.labels[index]
        mask = annotation.scaled_mask(self.canvas.size)
        x1, y1, x2, y2 = whole_pixels(self.boxes[index])
        inside = mask == label
        if annotation.bboxes is None:
            regions, boxes = connected_regions(inside)
            inside = regions == boxes.index([x1, y1, x2, y2]) + 1
        width = max(1, round(RIM * min(self.canvas.size)))
        near = cv2.dilate(inside.astype(np.uint8), np.ones((2 * width + 1, ) * 2, np.uint8))
        rim = (mask == IGNORE) & (near > 0)
        return Patch(inside[y1:y2, x1:x2], rim[y1:y2, x1:x2])


def objects_of(annotation: RealAnnotation, canvas: Canvas) -> Tuple[np.ndarray, np.ndarray]:
    """Labels (M,) and boxes (M, 4) on the canvas of the objects of one image, in a fixed order."""
    if annotation.bboxes is not None:
        height, width = canvas.size
        labels = annotation.labels
        boxes = np.clip(annotation.scaled_bboxes(canvas.size), 0, [width, height] * 2)
    else:
        mask = annotation.scaled_mask(canvas.size)
        found = [(label, region) for label in annotation.labels
                 for region in connected_regions(mask == label)[1]]
        labels = np.array([label for label, _ in found], np.int64)
        boxes = np.array([region for _, region in found])
    boxes = boxes.astype(np.float32).reshape(-1, 4)
    keep = np.flatnonzero(((boxes[:, 2:] - boxes[:, :2]) >= max(canvas.min_box, 1e-3)).all(1))
    order = keep[np.lexsort((*boxes[keep].T, labels[keep]))]
    return labels[order], boxes[order]


def connected_regions(inside: np.ndarray) -> Tuple[np.ndarray, List[List[int]]]:
    """Regions of a bool mask (H, W): their numbers from 1, (H, W), and their xyxy boxes.

    No two have the same box: regions that both reach all four sides of it would cross.
    """
    _, regions, stats, _ = cv2.connectedComponentsWithStats(
        inside.astype(np.uint8), connectivity=8)
    return regions, [[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:].tolist()]


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
    window = mask[y1:y2, x1:x2]
    inside, rim = (resize_mask(part.astype(np.uint8), window.shape) > 0 for part in patch)
    window[rim & (window == fill)] = IGNORE
    window[inside] = label
