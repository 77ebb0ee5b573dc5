"""Cutting objects out of photographs, and filling the holes that they leave."""
import math
from typing import Sequence, Tuple

import cv2
import numpy as np

Box = Tuple[int, int, int, int]

# GrabCut needs some pixels to learn colours from: smaller images are enlarged to this side.
LEAST_SIDE = 256
# How much of the surroundings of an object tells its background, as a share of its longer side.
SURROUNDINGS = 0.25
# A cut-out that covers less or more of its box than this has failed.
CREDIBLE = (0.05, 0.97)


def cut_out(image: np.ndarray, box: Box, iterations: int = 4) -> np.ndarray:
    """Opacity of the object in a box, by `GrabCut <https://doi.org/10.1145/1015706.1015720>`_.

    Pixels outside of the box are background, those inside are split by their colours. Where
    that fails, the whole box is the object, with a soft rim.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (x1, y1, x2, y2) whole pixels inside of the image, not empty.
        iterations: Iterations of GrabCut.

    Returns:
        ndarray: (y2 - y1, x2 - x1) float32 in [0, 1].
    """
    x1, y1, x2, y2 = box
    height, width = image.shape[:2]
    margin = max(2, math.ceil(SURROUNDINGS * max(x2 - x1, y2 - y1)))
    left, top = max(0, x1 - margin), max(0, y1 - margin)
    window = image[top:min(height, y2 + margin), left:min(width, x2 + margin)]
    factor = max(1, math.ceil(LEAST_SIDE / max(height, width)))
    large = cv2.resize(window, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    labels = np.full(large.shape[:2], cv2.GC_BGD, np.uint8)
    inside = tuple(slice(factor * (a - o), factor * (b - o))
                   for a, b, o in ((y1, y2, top), (x1, x2, left)))
    labels[inside] = cv2.GC_PR_FGD
    if (labels == cv2.GC_BGD).any():
        cv2.setRNGSeed(0)  # its clustering draws from a generator of the whole process
        # With a mask there is no rectangle.
        cv2.grabCut(large, labels, None, np.zeros((1, 65)),  # type: ignore[call-overload]
                    np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels[inside], (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    opacity = cv2.resize(found, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    if CREDIBLE[0] <= opacity.mean() <= CREDIBLE[1]:
        return opacity
    return soft_rim((y2 - y1, x2 - x1))


def soft_rim(size: Tuple[int, int], share: float = 0.1) -> np.ndarray:
    """An opacity (h, w) that falls off towards the rim of a box, over ``share`` of its side."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 1 for n in size)
    distance = np.minimum(rows[:, None], columns[None])
    return np.clip(distance / max(1., share * min(size)), 0, 1).astype(np.float32)


def fill_holes(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """The image (H, W, 3) without what is in ``boxes``, painted over from around them."""
    if not len(boxes):
        return image
    holes = np.zeros(image.shape[:2], np.uint8)
    for x1, y1, x2, y2 in boxes:
        holes[max(0, y1 - 2):y2 + 2, max(0, x1 - 2):x2 + 2] = 255
    if holes.all():
        return np.broadcast_to(image.mean((0, 1)).round().astype(np.uint8), image.shape).copy()
    return cv2.inpaint(image, holes, 3, cv2.INPAINT_TELEA)
