"""Where objects go on a canvas."""
from typing import List, Optional, Sequence, Tuple

import numpy as np


def covered_share(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Largest share of the smaller box that two boxes have in common.

    Args:
        boxes: (N, 4) xyxy.
        others: (M, 4) xyxy.

    Returns:
        ndarray: (N,) in [0, 1], over all of ``others``; 0 without any.
    """
    if not len(others):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, others))
    return (common / np.minimum(areas[:, None], other_areas[None])).max(1)


def place(boxes: np.ndarray, size: Tuple[int, int], overlap: float, tries: int,
          rng: np.random.Generator) -> List[Optional[np.ndarray]]:
    """Find places for objects, the largest first.

    An object stays where it is if that is free, else it goes to the first free one of ``tries``
    random places; the nearest one would crowd them. It moves by whole pixels and stays inside of
    the canvas.

    Args:
        boxes: (M, 4) xyxy, each inside of the canvas.
        size: (height, width) of the canvas.
        overlap: A place is free if no placed box has more than this share of the smaller
            one in common with it.
        tries: Random places for each object.
        rng: Source of the random places.

    Returns:
        list: The box of each object, None where no place was free.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    placed: List[Optional[np.ndarray]] = [None] * len(boxes)
    taken = np.zeros((0, 4), np.float32)
    for index in np.argsort(-areas, kind='stable'):
        box = boxes[index]
        # Its own place, then random ones; drawn in any case, so that later draws do not depend
        # on whether this object moves.
        shifts = np.concatenate([np.zeros((1, 2), np.int64), _shifts(box, size, tries, rng)])
        places = box + np.tile(shifts, 2)
        free = np.flatnonzero(covered_share(places, taken) <= overlap)
        if len(free):
            placed[index] = places[free[0]].astype(np.float32)
            taken = np.concatenate([taken, placed[index][None]])
    return placed


def _shifts(box: np.ndarray, size: Tuple[int, int], tries: int,
            rng: np.random.Generator) -> np.ndarray:
    """(tries, 2) whole-pixel moves (x, y) that keep a box inside of the canvas."""
    x1, y1, x2, y2 = box
    low = np.floor([x1, y1]).astype(np.int64)
    high = np.floor([size[1] - x2, size[0] - y2]).astype(np.int64)
    return rng.integers(-low, np.maximum(high, 0) + 1, (tries, 2))


def resize(box: np.ndarray, factor: float, size: Tuple[int, int], min_box: float,
           whole: bool) -> np.ndarray:
    """A box of another size around the same centre, moved inside of the canvas.

    Args:
        box: (4,) xyxy inside of the canvas.
        factor: What width and height are multiplied by; nearer to 1 where the box would not
            fit the canvas or its shorter side would fall below ``min_box``.
        size: (height, width) of the canvas.
        min_box: Shortest side in pixels.
        whole: Whether the box goes to whole pixels, as masks need.
    """
    sides, limit = box[2:] - box[:2], np.array([size[1], size[0]], np.float64)
    factor = max(factor, min(1., min_box / sides.min()))
    sides = sides * min(factor, (limit / sides).min())
    if whole:
        sides = np.clip(np.ceil(sides - 0.5), np.ceil(max(min_box, 1)), limit)
    corner = np.clip((box[:2] + box[2:] - sides) / 2, 0, limit - sides)
    if whole:
        corner = np.floor(corner)
    return np.concatenate([corner, corner + sides]).astype(np.float32)


def count_weights(objects) -> Tuple[Sequence[int], Optional[np.ndarray]]:
    """Read the setting ``objects`` of :class:`ComposedLabelSampler`.

    Args:
        objects: A number, a pair (least, most) of which all numbers are as likely, or weights
            by number as a dict.

    Returns:
        tuple: The numbers and their probabilities; no probabilities where all are alike.

    Raises:
        ValueError: If it is none of them, or a number is below 1.
    """
    if isinstance(objects, dict) and objects and all(
            str(number).isdecimal() for number in objects):
        numbers = [int(number) for number in objects]
        weights = np.array([float(weight) for weight in objects.values()])
        if min(numbers) >= 1 and (weights >= 0).all() and weights.sum() > 0:
            return numbers, weights / weights.sum()
    elif isinstance(objects, int) and not isinstance(objects, bool) and objects >= 1:
        return [objects], None
    elif isinstance(objects, (list, tuple)) and len(objects) == 2 and all(
            isinstance(n, int) for n in objects) and 1 <= objects[0] <= objects[1]:
        return range(objects[0], objects[1] + 1), None
    raise ValueError(f'ComposedLabelSampler: objects must be a number from 1, a pair (least, '
                     f"most), weights by number as a dict, or 'natural', got {objects!r}")
