"""A canvas that fills up with objects of real images."""
from typing import Callable, Iterable, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from mmdd.models import cut_out


class Placed(NamedTuple):
    """An object on a canvas.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, the object with its surroundings.
        opacity: (h, w, 1) of these, in [0, 1].
        corner: (2,) x and y of these on the canvas, whole pixels.
        box: (4,) xyxy of the object itself on the canvas.
        label: Its class index.
    """
    pixels: np.ndarray
    opacity: np.ndarray
    corner: np.ndarray
    box: np.ndarray
    label: int


class Scene:
    """Objects on a background, later ones over earlier ones.

    Args:
        ground: (H, W, 3) uint8 RGB background.
        rng: Source of the places.
        max_object, context, outline, overlap, tries: See :class:`OD3`.
        min_box: An object whose shorter side is below this, in pixels, is not placed.
    """

    def __init__(self, ground: np.ndarray, rng: np.random.Generator, max_object: float,
                 context: float, outline: bool, overlap: float, tries: int,
                 min_box: float) -> None:
        self.ground, self.rng, self.min_box = ground, rng, min_box
        self.max_object, self.context, self.outline = max_object, context, outline
        self.overlap, self.tries = overlap, tries
        self.size = np.array([ground.shape[1], ground.shape[0]])
        self.placed: List[Placed] = []
        self.freed: List[np.ndarray] = []

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        picture = self.ground.astype(np.float32)
        for own in self.placed:
            (x, y), (height, width) = own.corner, own.pixels.shape[:2]
            below = picture[y:y + height, x:x + width]
            below += own.opacity * (own.pixels - below)
        return picture.round().astype(np.uint8)

    @property
    def boxes(self) -> np.ndarray:
        """(M, 4) float32 xyxy of the objects."""
        return np.array([own.box for own in self.placed], np.float32).reshape(-1, 4)

    def offer(self, read: Callable[[], np.ndarray], box: np.ndarray, label: int) -> None:
        """Place an object if one of the random places is free.

        Args:
            read: Gives its image (H, W, 3), stretched to the canvas.
            box: (4,) xyxy where it is in that image.
            label: Its class index.
        """
        low, high, size, inside = self.frame(box)
        if (inside[2:] - inside[:2]).min() < self.min_box:
            return
        taken, room = self.covered(self.placed), self.size - size
        vacant = [centre for centre in self.freed if not taken[tuple(centre.astype(int)[::-1])]]
        for _ in range(self.tries):
            corner = self.rng.uniform(0, room + 1)
            if vacant:  # between a random place and one that became free
                aim, share = vacant[self.rng.integers(len(vacant))], self.rng.random()
                corner = share * corner + (1 - share) * (aim - (inside[:2] + inside[2:]) / 2)
            corner = np.clip(np.floor(corner), 0, room).astype(int)
            if taken[window(inside + np.tile(corner, 2))].mean() <= self.overlap:
                pixels, opacity = self.cut(read(), low, high, size)
                self.placed.append(
                    Placed(pixels, opacity, corner, inside + np.tile(corner, 2), label))
                return

    def frame(self, box: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What is cut out for an object, and how large it gets.

        Returns:
            tuple: (2,) x and y from where and to where it is cut out, in whole pixels; (2,) its
            width and height on the canvas; (4,) xyxy of the object among these.
        """
        box = np.clip(box, 0, np.tile(self.size, 2))
        share = (box[2:] - box[:2]).prod() / self.size.prod()
        rim = 0. if self.outline else self.context * self.size.max() * (1 - share)
        low = np.floor(np.clip(box[:2] - rim, 0, self.size - 1)).astype(int)
        high = np.ceil(np.clip(box[2:] + rim, low + 1, self.size)).astype(int)
        factor = min(1., (self.max_object * self.size / (high - low)).min())
        size = np.maximum(1, np.round(factor * (high - low))).astype(int)
        return low, high, size, (box - np.tile(low, 2)) * np.tile(size / (high - low), 2)

    def cut(self, image: np.ndarray, low: np.ndarray, high: np.ndarray,
            size: np.ndarray) -> List[np.ndarray]:
        """Pixels (h, w, 3) and opacity (h, w, 1) of what :meth:`frame` says."""
        opacity = cut_out(image, (*low.tolist(), *high.tolist())) if self.outline else np.ones(
            (high - low)[::-1], np.float32)
        return [cv2.resize(full, size.tolist(), interpolation=cv2.INTER_AREA).reshape(
            size[1], size[0], -1) for full in (image[low[1]:high[1], low[0]:high[0]], opacity)]

    def covered(self, placed: Iterable[Placed]) -> np.ndarray:
        """(H, W) bool, where the boxes of objects are."""
        taken = np.zeros(self.ground.shape[:2], bool)
        for own in placed:
            taken[window(own.box)] = True
        return taken

    def take_off(self, indices: Sequence[int], content: float) -> int:
        """Take objects off, one by one, while more than ``content`` of the canvas is covered.

        Returns:
            int: How many were taken off.
        """
        off: List[int] = []
        for index in indices:
            rest = [own for i, own in enumerate(self.placed) if i not in (*off, index)]
            if self.covered(rest).mean() <= content:
                break
            off.append(index)
        self.freed += [(self.placed[i].box[:2] + self.placed[i].box[2:]) / 2 for i in off]
        self.placed = [own for i, own in enumerate(self.placed) if i not in off]
        return len(off)


def window(box: np.ndarray) -> Tuple[slice, slice]:
    """Rows and columns of the whole pixels that a box touches."""
    (x1, y1), (x2, y2) = np.floor(box[:2] + 1e-4), np.ceil(box[2:] - 1e-4)
    return slice(int(y1), int(y2)), slice(int(x1), int(x2))
