"""A canvas that fills up with objects of real images."""
from typing import Iterable, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np


class Placed(NamedTuple):
    """An object on a canvas.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, the object with its surroundings.
        corner: (2,) x and y of these on the canvas, whole pixels.
        box: (4,) xyxy of the object itself on the canvas.
        label: Its class index.
    """
    pixels: np.ndarray
    corner: np.ndarray
    box: np.ndarray
    label: int


class Scene:
    """Objects on a background, later ones over earlier ones.

    Args:
        ground: (H, W, 3) uint8 RGB background.
        rng: Source of the places.
        max_object, context, overlap, tries: See :class:`OD3`.
        min_box: An object whose shorter side is below this, in pixels, is not placed.
    """

    def __init__(self, ground: np.ndarray, rng: np.random.Generator, max_object: float,
                 context: float, overlap: float, tries: int, min_box: float) -> None:
        self.ground, self.rng, self.min_box = ground, rng, min_box
        self.max_object, self.context = max_object, context
        self.overlap, self.tries = overlap, tries
        self.size = np.array([ground.shape[1], ground.shape[0]])
        self.placed: List[Placed] = []
        self.freed: List[np.ndarray] = []

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        picture = self.ground.copy()
        for own in self.placed:
            (x, y), (height, width) = own.corner, own.pixels.shape[:2]
            picture[y:y + height, x:x + width] = own.pixels
        return picture

    @property
    def boxes(self) -> np.ndarray:
        """(M, 4) float32 xyxy of the objects."""
        return np.array([own.box for own in self.placed], np.float32).reshape(-1, 4)

    def offer(self, image: np.ndarray, box: np.ndarray, label: int) -> None:
        """Place an object of an image (H, W, 3) at a free place, if one of the tries is free."""
        pixels, inside = self.cut(image, box)
        if (inside[2:] - inside[:2]).min() < self.min_box:
            return
        taken, room = self.covered(self.placed), self.size - pixels.shape[1::-1]
        vacant = [centre for centre in self.freed if not taken[tuple(centre.astype(int)[::-1])]]
        for _ in range(self.tries):
            corner = self.rng.uniform(0, room + 1)
            if vacant:  # between a random place and one that became free
                aim, share = vacant[self.rng.integers(len(vacant))], self.rng.random()
                corner = share * corner + (1 - share) * (aim - (inside[:2] + inside[2:]) / 2)
            corner = np.clip(np.floor(corner), 0, room).astype(int)
            placed = Placed(pixels, corner, inside + np.tile(corner, 2), label)
            if taken[window(placed.box)].mean() <= self.overlap:
                self.placed.append(placed)
                return

    def cut(self, image: np.ndarray, box: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w, 3) of an object with its surroundings, and its box (4,) among them."""
        box = np.clip(box, 0, np.tile(self.size, 2))
        share = (box[2:] - box[:2]).prod() / self.size.prod()
        rim = self.context * self.size.max() * (1 - share)
        low = np.floor(np.clip(box[:2] - rim, 0, self.size - 1)).astype(int)
        high = np.ceil(np.clip(box[2:] + rim, low + 1, self.size)).astype(int)
        factor = min(1., (self.max_object * self.size / (high - low)).min())
        size = np.maximum(1, np.round(factor * (high - low))).astype(int)
        pixels = cv2.resize(image[low[1]:high[1], low[0]:high[0]], size.tolist(),
                            interpolation=cv2.INTER_AREA)
        return pixels, (box - np.tile(low, 2)) * np.tile(size / (high - low), 2)

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
