"""Contact sheets: images with boxes, masks, class names and scores."""
import colorsys
import math
from dataclasses import dataclass
from typing import Any, List, Sequence, Tuple

import cv2
import numpy as np

from .io import atomic_save_image

COLOURS = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
           (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)]
ASKED = (255, 255, 255)
# Share of the class colour where a mask lies over a picture.
OPACITY = 0.45
# Ids of masks that are not drawn: this class, and what is to be ignored.
BACKGROUND, IGNORE = 'background', 255


@dataclass
class Tile:
    """One picture of a sheet.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        target: What it shows, drawn in colour: a :class:`~mmdd.structures.Target`.
        asked: What was asked for, drawn thin and white; one too.
        caption: Text under the picture.
    """
    image: np.ndarray
    target: Any = None
    asked: Any = None
    caption: str = ''


def class_colour(index: int) -> Tuple[int, int, int]:
    """RGB colour of a class: ten well-known ones, then hues a golden angle apart."""
    if index < len(COLOURS):
        return COLOURS[index]
    hue = (index * 0.618034) % 1
    value = (0.95, 0.75, 0.55)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_tile(tile: Tile, classes: Sequence[str], side: int) -> np.ndarray:
    """Draw one tile, (side + 16, side, 3) uint8 RGB."""
    height, width = tile.image.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_NEAREST if factor > 2 else cv2.INTER_AREA
    canvas = np.full((side + 16, side, 3), 24, np.uint8)
    picture = np.ascontiguousarray(cv2.resize(tile.image, size, interpolation=method))
    if tile.target is not None:
        tile.target.shade(picture, classes)
    if tile.asked is not None:
        tile.asked.outline(picture, classes, factor)
    if tile.target is not None:
        tile.target.draw(picture, classes, factor)
    canvas[:size[1], :size[0]] = picture
    cv2.putText(canvas, tile.caption[:side // 6], (2, side + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35,
                (220, 220, 220), 1, cv2.LINE_AA)
    return canvas


def shade_mask(picture: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> None:
    """Lay a mask (H, W) uint8 over a picture in the colours of its classes, in place."""
    shown = _shown(mask, classes, picture)
    colours = np.zeros_like(picture)
    for index in _ids(shown):
        colours[shown == index] = class_colour(index)
    mixed = cv2.addWeighted(picture, 1 - OPACITY, colours, OPACITY, 0)
    np.copyto(picture, mixed, where=(shown >= 0)[..., None])


def outline_mask(picture: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the thin white outlines of a mask (H, W) uint8, in place."""
    shown = _shown(mask, classes, picture)
    for index in _ids(shown):
        contours, _ = cv2.findContours((shown == index).astype(np.uint8), cv2.RETR_LIST,
                                       cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, ASKED, 1)


def name_regions(picture: np.ndarray, mask: np.ndarray, classes: Sequence[str]) -> None:
    """Write each class of a mask (H, W) uint8 once, in the middle of where it is thickest."""
    shown = _shown(mask, classes, picture)
    for index in _ids(shown):
        inside = np.pad((shown == index).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        name = str(classes[index]) if index < len(classes) else str(index)
        width = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 1)[0][0]
        left = min(max(1, x - width // 2), max(1, picture.shape[1] - width - 2))
        write_text(picture, name, int(left), int(min(max(10, y + 4), picture.shape[0] - 3)))


def _shown(mask: np.ndarray, classes: Sequence[str], picture: np.ndarray) -> np.ndarray:
    """The mask as (h, w) int32 of the picture, -1 where nothing is drawn."""
    size = picture.shape[1], picture.shape[0]
    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int32)
    hidden = [IGNORE] + [i for i, name in enumerate(classes) if name == BACKGROUND]
    small[np.isin(small, hidden)] = -1
    return small


def _ids(shown: np.ndarray) -> List[int]:
    return [int(i) for i in np.unique(shown) if i >= 0]


def write_text(picture: np.ndarray, text: str, x: int, y: int) -> None:
    """White letters with a black rim, in place; x and y are the left end of their base line."""
    # Bolder letters would be set wider, so the rim is made of shifted ones.
    for dx, dy, colour in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, 255)):
        cv2.putText(picture, text, (x + dx, y + dy), cv2.FONT_HERSHEY_SIMPLEX, 0.38,
                    (colour, ) * 3, 1, cv2.LINE_AA)


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
