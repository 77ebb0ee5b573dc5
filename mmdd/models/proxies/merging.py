"""Labels of a slot and of a proxy brought together."""
from typing import Sequence, Tuple

import cv2
import numpy as np

from mmdd.structures import BoxTarget

# From which overlap two objects are the same place: the proxy speaks for the slot there.
MATCH_IOU = 0.5


def merge_boxes(slot: BoxTarget, found: BoxTarget, iou_thr: float = MATCH_IOU) -> BoxTarget:
    """Every object that the proxy is sure of, and the slot's objects that it does not contradict.

    An object of the slot is left out where an object of the proxy overlaps it with an IoU of
    at least ``iou_thr``: one of the same class confirms it and has the better box, one of
    another class contradicts it. Where the proxy sees nothing, the slot's object stays.

    Args:
        slot: What was asked for.
        found: What the proxy is sure of, in the same pixels.
        iou_thr: Least IoU of a match.

    Returns:
        BoxTarget: The objects of the proxy, then those of the slot.
    """
    return found.joined(slot.select(
        np.all(box_ious(slot.bboxes, found.bboxes) < iou_thr, axis=1)))


def box_ious(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoUs (M, P) of boxes (M, 4) and (P, 4), xyxy; 0 for boxes without area."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = (high - low).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (first, second)]
    return both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9)


def mask_objects(mask: np.ndarray, leave_out: Sequence[int]) -> Tuple[np.ndarray, int]:
    """The objects of a mask: connected pieces (8 neighbours) of one class.

    Args:
        mask: (H, W) uint8 class indices.
        leave_out: Indices that are no objects, such as the background and 255.

    Returns:
        tuple: (H, W) int32 number of the object of each pixel, from 1, 0 for none; and how
        many objects there are.
    """
    numbers, count = np.zeros(mask.shape, np.int32), 0
    for label in np.unique(mask).tolist():
        if label in leave_out:
            continue
        found, pieces = cv2.connectedComponents((mask == label).astype(np.uint8))
        numbers[pieces > 0] = pieces[pieces > 0] + count
        count += found - 1
    return numbers, count


def sure_objects(mask: np.ndarray, confidence: np.ndarray, threshold: float,
                 leave_out: Sequence[int]) -> np.ndarray:
    """Numbers as of :func:`mask_objects`; 0 below a mean confidence of ``threshold``.

    Args:
        mask: (H, W) uint8, the most probable class of each pixel.
        confidence: (H, W) its probability.
        threshold: Least mean over an object.
        leave_out: Indices that are no objects.
    """
    numbers, count = mask_objects(mask, leave_out)
    pixels = np.bincount(numbers.ravel(), minlength=count + 1)
    total = np.bincount(numbers.ravel(), confidence.ravel().astype(np.float64), count + 1)
    sure = total >= (threshold - 1e-6) * pixels
    sure[0] = False
    renumbered = np.where(sure, np.cumsum(sure), 0).astype(np.int32)
    return renumbered[numbers]


def merge_masks(slot_mask: np.ndarray, mask: np.ndarray, sure: np.ndarray,
                leave_out: Sequence[int], iou_thr: float = MATCH_IOU) -> np.ndarray:
    """The slot's mask, with what the proxy is sure of painted over it.

    An object of the slot that an object of the proxy covers with an IoU of at least
    ``iou_thr`` is taken out first: its pixels become what the proxy sees there. One that no
    object matches stays where no object of the proxy lies.

    Args:
        slot_mask: (H, W) uint8 class indices, 255 to ignore.
        mask: (H, W) uint8, the most probable class of each pixel.
        sure: (H, W) numbers of the proxy's objects, see :func:`sure_objects`.
        leave_out: Indices that are no objects.
        iou_thr: Least IoU of a match.
    """
    numbers, count = mask_objects(slot_mask, leave_out)
    other = int(sure.max()) + 1
    both = np.bincount((numbers.astype(np.int64) * other + sure).ravel(),
                       minlength=(count + 1) * other).reshape(count + 1, other)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    matched = (both[:, 1:] >= iou_thr * union[:, 1:]).any(1)
    matched[0] = False
    return np.where(matched[numbers] | (sure > 0), mask, slot_mask)
