"""Pictures in a terminal: two pixels of a column in each character."""
from typing import List, Sequence

import cv2
import numpy as np
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style

UPPER = '▀'


def half_blocks(image: np.ndarray) -> Segments:
    """A picture that rich prints, in as many colours as its console has.

    Args:
        image: (H, W, 3) uint8 RGB; one pixel is as wide as a character and half as high. The
            last row stands alone where H is odd.
    """
    segments: List[Segment] = []
    for y in range(0, len(image), 2):
        below = image[y + 1] if y + 1 < len(image) else [None] * image.shape[1]
        segments += [Segment(UPPER, cell_style(upper, lower))
                     for upper, lower in zip(image[y], below)]
        segments.append(Segment.line())
    return Segments(segments)


def cell_style(upper: Sequence[int], lower: Sequence[int] | None) -> Style:
    """The colours of a character whose upper half is drawn on a ground."""
    ground = None if lower is None else Color.from_rgb(*map(int, lower))
    return Style(color=Color.from_rgb(*map(int, upper)), bgcolor=ground)


def side_by_side(images: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Images in a row, a black column between two of them, as many as fit.

    Args:
        images: (H, W, 3) uint8 RGB each.
        height: Of all of them, in pixels.
        width: Of the row at most, in pixels; the first image is cut where it alone is wider.

    Returns:
        ndarray: (height, at most width, 3) uint8.
    """
    row = np.zeros((height, 0, 3), np.uint8)
    for image in images:
        size = (max(1, round(image.shape[1] * height / image.shape[0])), height)
        shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        gap = np.zeros((height, int(row.shape[1] > 0), 3), np.uint8)
        longer = np.concatenate([row, gap, shown], 1)
        if row.shape[1] and longer.shape[1] > width:
            break
        row = longer
    return row[:, :width]
