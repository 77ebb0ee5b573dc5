"""Contact sheets: images with boxes, class names and scores."""
import math
from dataclasses import dataclass, field
from typing import List, Optional, Sequence

import cv2
import numpy as np

from .io import atomic_save_image

COLOURS = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
           (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)]
ASKED = (255, 255, 255)


@dataclass
class Tile:
    """One picture of a sheet.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        bboxes: (M, 4) xyxy in pixels.
        labels: (M,) class indices.
        asked: (A, 4) boxes that were asked for, drawn thin and white.
        caption: Text under the picture.
    """
    image: np.ndarray
    bboxes: Optional[np.ndarray] = None
    labels: Sequence[int] = field(default_factory=tuple)
    asked: Optional[np.ndarray] = None
    caption: str = ''


def draw_tile(tile: Tile, classes: Sequence[str], side: int) -> np.ndarray:
    """Draw one tile, (side + 16, side, 3) uint8 RGB."""
    height, width = tile.image.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_NEAREST if factor > 2 else cv2.INTER_AREA
    canvas = np.full((side + 16, side, 3), 24, np.uint8)
    picture = np.ascontiguousarray(cv2.resize(tile.image, size, interpolation=method))
    for box in [] if tile.asked is None else tile.asked:
        x1, y1, x2, y2 = (int(round(float(v) * factor)) for v in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), ASKED, 1)
    for box, label in zip([] if tile.bboxes is None else tile.bboxes, tile.labels):
        x1, y1, x2, y2 = (int(round(float(v) * factor)) for v in box)
        colour = COLOURS[int(label) % len(COLOURS)]
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
        cv2.putText(picture, str(classes[int(label)]), (x1 + 2, max(10, y1 + 11)),
                    cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 2, cv2.LINE_AA)
        cv2.putText(picture, str(classes[int(label)]), (x1 + 2, max(10, y1 + 11)),
                    cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    canvas[:size[1], :size[0]] = picture
    cv2.putText(canvas, tile.caption[:side // 6], (2, side + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35,
                (220, 220, 220), 1, cv2.LINE_AA)
    return canvas


def contact_sheet(tiles: List[Tile], classes: Sequence[str], columns: int = 8,
                  side: int = 128) -> np.ndarray:
    """Arrange tiles in rows, (rows * (side + 20), columns * (side + 4), 3) uint8.

    Raises:
        ValueError: If there is nothing to show.
    """
    if not tiles:
        raise ValueError('a contact sheet needs at least one image')
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    sheet = np.zeros((rows * (side + 20), columns * (side + 4), 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (side + 20), (i % columns) * (side + 4)
        sheet[y:y + side + 16, x:x + side] = draw_tile(tile, classes, side)
    return sheet


def save_contact_sheet(path: str, tiles: List[Tile], classes: Sequence[str], columns: int = 8,
                       side: int = 128) -> str:
    """Write :func:`contact_sheet` to ``path`` and return it."""
    atomic_save_image(path, contact_sheet(tiles, classes, columns, side))
    return path
