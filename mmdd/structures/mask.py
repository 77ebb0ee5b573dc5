"""Masks as arrays, as PNG bytes and as text."""
import base64
from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

# The index of pixels that no loss and no metric looks at, as in VOC and mmseg.
IGNORE = 255
# A class of this name is what is left where nothing is: it is never asked for.
BACKGROUND = 'background'
# A region below this share of the largest one of its class in the image is a scrap of one.
SCRAP = 0.1


def encode_mask(mask: np.ndarray) -> bytes:
    """Compress a mask (H, W) uint8 without loss."""
    return cv2.imencode('.png', np.ascontiguousarray(mask, np.uint8))[1].tobytes()


def decode_mask(data: bytes) -> np.ndarray:
    """The mask (H, W) uint8 that :func:`encode_mask` compressed."""
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask is not None, 'these bytes are no PNG'
    return mask


def mask_to_text(mask: np.ndarray) -> str:
    """A mask as one word of text."""
    return base64.b64encode(encode_mask(mask)).decode()


def mask_from_text(text: str) -> np.ndarray:
    """The mask that :func:`mask_to_text` wrote."""
    return decode_mask(base64.b64decode(text))


class Region(NamedTuple):
    """A connected region of a mask.

    Attributes:
        box: (x1, y1, x2, y2) in pixels around it.
        pixels: How many it has.
        inside: (y2 - y1, x2 - x1) bool, which pixels of the box.
    """
    box: Tuple[int, int, int, int]
    pixels: int
    inside: np.ndarray


def connected_regions(inside: np.ndarray) -> List[Region]:
    """The connected regions (8 neighbours) of a bool mask (H, W), from top to bottom.

    Scraps below a tenth of the largest one are left out: what lies before an object cuts
    them off.
    """
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(
        inside.astype(np.uint8), connectivity=8)
    least = SCRAP * stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    return [Region((x, y, x + w, y + h), pixels, numbers[y:y + h, x:x + w] == number)
            for number, (x, y, w, h, pixels) in enumerate(stats.tolist())
            if number and pixels >= least]


def reduce_zero_label(mask: np.ndarray) -> np.ndarray:
    """Stored ids as mmseg's ``reduce_zero_label`` reads them: 0 is ignored, 1 is class 0."""
    stored = mask.astype(np.int16)
    return np.where((stored == 0) | (stored == IGNORE), IGNORE, stored - 1).astype(np.uint8)


def restore_zero_label(mask: np.ndarray) -> np.ndarray:
    """The ids to store for class indices so that :func:`reduce_zero_label` gives them back."""
    return np.where(mask == IGNORE, 0, mask.astype(np.int16) + 1).astype(np.uint8)


def resize_mask(mask: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Stretch a mask to ``size`` (height, width), nearest neighbour."""
    if mask.shape == tuple(size):
        return mask
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
