"""Photographs in class folders, as a prior is trained on them."""
import hashlib
import json
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import count
from typing import Dict, Iterator, List, NamedTuple

import numpy as np
import torch

from mmdd.datasets.annotations import load_image
from mmdd.datasets.survey.base import Tree
from mmdd.datasets.survey.class_folders import read_class_folders
from mmdd.utils.io import atomic_write_text

THREADS = 8


class Photograph(NamedTuple):
    """One picture, (H, W, 3) uint8 RGB, and the index of its class."""
    image: np.ndarray
    label: int


class Photographs:
    """The training images of a folder of class folders, as squares of one size.

    Their middle is cut out and resized; all are held in memory, ``3 size^2`` bytes each.

    Args:
        folder: ``<class>/*.png``, or ``train/<class>/*.png`` with other splits beside it, which
            are left out.
        size: Side in pixels.
        flip: Take every photograph mirrored, too: the second half of them.

    Attributes:
        classes: Names of the folders, sorted: the indices that stock dataset classes give them.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no class folders.
    """

    def __init__(self, folder: str, size: int, flip: bool = False) -> None:
        survey = read_class_folders(Tree(folder))
        self._folder, self._records = survey.folder, survey.splits.get('train', [])
        if not self._records:
            raise ValueError(f'{folder}: no training images: <class>/*.png or '
                             f'train/<class>/*.png')
        for line in survey.oddities:
            print(f'{folder}: {line}', flush=True)
        self.size, self.flip, self.classes = size, flip, survey.classes
        self._labels = [self.classes.index(record.labels[0]) for record in self._records]

    def __len__(self) -> int:
        return len(self._records) * (1 + self.flip)

    def __getitem__(self, index: int) -> Photograph:
        """Photograph ``index``.

        Raises:
            ValueError: If one of them cannot be read.
        """
        mirrored, index = divmod(index, len(self._records))
        image = self._images[index]
        return Photograph(np.ascontiguousarray(image[:, ::-1]) if mirrored else image,
                          self._labels[index])

    def stream(self, start: int) -> Iterator[Photograph]:
        """The photographs from an index on."""
        return map(self.__getitem__, count(start))

    def draw(self, number: int, g: torch.Generator) -> List[Photograph]:
        """Photographs at random, one may come again."""
        return [self[i] for i in torch.randint(0, len(self), (number, ), generator=g).tolist()]

    @cached_property
    def _images(self) -> np.ndarray:
        paths = [osp.join(self._folder, record.image) for record in self._records]
        found = np.empty((len(paths), self.size, self.size, 3), np.uint8)

        def read(index: int) -> None:
            found[index] = load_image(paths[index], (self.size, self.size), crop=True)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(read, range(len(paths))))
        return found

    def facts(self) -> Dict:
        """What tells these photographs from others, in plain numbers and text."""
        files = '\n'.join(record.image for record in self._records)
        return dict(classes=list(self.classes), size=self.size, flip=self.flip,
                    images=len(self._records), files=hashlib.sha256(files.encode()).hexdigest())


def check_same_training(work_dir: str, facts: Dict) -> None:
    """Note in a work dir what its latents are made of, or compare with what is noted there.

    Raises:
        ValueError: If they were made of something else.
    """
    path = osp.join(work_dir, 'latents.json')
    if not osp.isfile(path):
        atomic_write_text(path, json.dumps(facts, indent=1))
        return
    with open(path) as f:
        known = json.load(f)
    changed = sorted(name for name in {*facts, *known} if facts.get(name) != known.get(name))
    if changed:
        raise ValueError(f'{path}: the latents here are those of another training (not the same: '
                         f'{", ".join(changed)}); take a new work dir')
