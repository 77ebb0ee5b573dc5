"""Real images beside those of a set, on its page."""
import os.path as osp
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence

import numpy as np
from PIL import Image

from mmdd.utils.io import atomic_save_image
from ..gallery import read_image
from .content import ExportContent

FOLDER = 'neighbours'
# Most pixels of a side of the small pictures.
SIDE = 96


@dataclass
class Neighbour:
    """A real image that is near to one of the set.

    Attributes:
        path: Its file.
        name: What it is called on the page.
        distance: Of their features.
    """
    path: str
    name: str
    distance: float


# Neighbours of each image of a set, the nearest first, by its file relative to the set.
Neighbours = Mapping[str, Sequence[Neighbour]]
FindNeighbours = Callable[[ExportContent], Neighbours]


def write_neighbours(neighbours: Neighbours, out: str) -> Dict[str, List[Any]]:
    """Write a small picture of every real image once.

    Args:
        neighbours: Real images by file of the set.
        out: Folder of the page.

    Returns:
        dict: By file of the set, for each neighbour: its picture relative to ``out``, its name,
        its distance.

    Raises:
        ValueError: If a real image cannot be read.
    """
    pictures: Dict[str, str] = {}
    for near in neighbours.values():
        for one in near:
            if one.path not in pictures:
                pictures[one.path] = f'{FOLDER}/{len(pictures):05d}.jpg'
                atomic_save_image(osp.join(out, pictures[one.path]), small(read_image(one.path)))
    return {file: [[pictures[one.path], one.name, round(one.distance, 4)] for one in near]
            for file, near in neighbours.items()}


def small(image: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8, no side of it larger than :data:`SIDE`."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)
