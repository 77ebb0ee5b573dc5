"""Digit scenes: a small real-handwriting dataset that needs no download.

The handwriting is the UCI optical digits that ship inside scikit-learn
(1,797 grey images of 8x8). A scene places 1 to 4 of them, scaled and coloured,
on a textured canvas; boxes, masks and class folders come with it. Training,
validation and test scenes use disjoint handwriting.
"""
import os
import os.path as osp
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.utils.io import atomic_save_image, atomic_write_text
from mmdd.utils.state import set_aside
from .formats.voc_xml import voc_palette, write_image_set, write_voc_xml

CLASSES = tuple('0123456789')
# Which handwriting (rows of sklearn's ``load_digits``) each split may use.
HANDWRITING = dict(
    train=(0, 1200), val=(1200, 1400), test=(1400, 1797))
# What the file that says that a set is finished looks like.
STAMP = r'scenes \[.*\] singles \[.*\] size \d+ seed -?\d+\n'
_SPLIT_KEY = dict(train=0, val=1, test=2)


@dataclass
class Scene:
    """One rendered scene.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        bboxes: (M, 4) float32, xyxy in pixels, right and bottom exclusive.
        labels: (M,) int64 in [0, 9].
        mask: (H, W) uint8, 0 background, class index + 1 on a digit.
        masks: (M, H, W) bool, the pixels of each digit that can be seen.
    """
    image: np.ndarray
    bboxes: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    masks: np.ndarray


@lru_cache(maxsize=1)
def _handwriting() -> Tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    digits = load_digits()
    return digits.images.astype(np.float32) / 16., digits.target


def _glyph(index: int, height: int) -> np.ndarray:
    """Scale one handwritten digit to a tight (height, w) opacity map."""
    image = _handwriting()[0][index]
    big = cv2.resize(np.pad(image, 1), None, fx=12, fy=12,
                     interpolation=cv2.INTER_CUBIC)
    ys, xs = np.where(big > 0.45)
    big = big[ys.min():ys.max() + 1, xs.min():xs.max() + 1]
    width = max(3, round(height * big.shape[1] / big.shape[0]))
    interpolation = cv2.INTER_AREA if height < big.shape[0] else cv2.INTER_LINEAR
    glyph = cv2.resize(big, (width, height), interpolation=interpolation)
    return np.clip((glyph - 0.45) * 6 + 0.5, 0, 1)


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth coloured noise: a base colour plus low-frequency variation."""
    base = rng.uniform(0.1, 0.9, 3)
    grid = rng.normal(0, rng.uniform(0.02, 0.12), (int(rng.integers(2, 7)), ) * 2 + (3, ))
    smooth = cv2.resize(grid.astype(np.float32), (size, size),
                        interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, rng.uniform(0, 0.02), (size, size, 3))
    return np.clip(base + smooth + grain, 0, 1).astype(np.float32)


def _contrasting_colour(rng: np.random.Generator, under: np.ndarray) -> np.ndarray:
    """A colour at least 0.55 (Euclidean, RGB in [0, 1]) away from ``under``."""
    while True:
        colour = rng.uniform(0, 1, 3)
        if np.linalg.norm(colour - under) >= 0.55:
            return colour.astype(np.float32)


def _overlap(box: np.ndarray, others: List[np.ndarray]) -> float:
    """Largest share of the smaller box that is covered."""
    worst = 0.
    for other in others:
        w = min(box[2], other[2]) - max(box[0], other[0])
        h = min(box[3], other[3]) - max(box[1], other[1])
        if w > 0 and h > 0:
            area = min((box[2] - box[0]) * (box[3] - box[1]),
                       (other[2] - other[0]) * (other[3] - other[1]))
            worst = max(worst, w * h / area)
    return worst


def _place(rng: np.random.Generator, shape: Tuple[int, int], size: int,
           taken: List[np.ndarray]) -> Optional[np.ndarray]:
    height, width = shape
    for _ in range(30):
        x = int(rng.integers(0, size - width + 1))
        y = int(rng.integers(0, size - height + 1))
        box = np.array([x, y, x + width, y + height], dtype=np.float32)
        if _overlap(box, taken) <= 0.15:
            return box
    return None


def render_scene(rng: np.random.Generator,
                 size: int = 64,
                 split: str = 'train',
                 num_digits: Optional[int] = None,
                 scale: Tuple[float, float] = (0.28, 0.6),
                 label: Optional[int] = None) -> Scene:
    """Render one scene.

    Args:
        rng: Source of all randomness.
        size: Side of the square canvas in pixels.
        split: Whose handwriting to use: 'train', 'val' or 'test'.
        num_digits: How many digits to try to place; 1 to 4 at random if None.
            A digit that finds no free place (overlap at most 15 % of the
            smaller box) is left out, so a scene may hold fewer; never none.
        scale: Range of digit heights as a share of ``size``.
        label: The class of every digit; random if None.

    Returns:
        Scene: image, boxes, labels and mask.
    """
    low, high = HANDWRITING[split]
    pool = np.arange(low, high)
    if label is not None:
        pool = pool[_handwriting()[1][low:high] == label]
    image = _background(rng, size)
    mask = np.zeros((size, size), np.uint8)
    count = int(rng.integers(1, 5)) if num_digits is None else num_digits
    boxes: List[np.ndarray] = []
    labels: List[int] = []
    owner = np.zeros((size, size), np.uint8)
    for _ in range(count):
        index = int(rng.choice(pool))
        glyph = _glyph(index, max(4, round(size * rng.uniform(*scale))))
        if glyph.shape[1] > size:
            glyph = cv2.resize(glyph, (size, glyph.shape[0]))
        box = _place(rng, glyph.shape, size, boxes)
        if box is None:
            continue
        x, y = int(box[0]), int(box[1])
        window = (slice(y, y + glyph.shape[0]), slice(x, x + glyph.shape[1]))
        colour = _contrasting_colour(rng, image[window].mean((0, 1)))
        alpha = glyph[..., None]
        image[window] = image[window] * (1 - alpha) + colour * alpha
        digit = int(_handwriting()[1][index])
        mask[window][glyph > 0.5] = digit + 1
        boxes.append(box)
        owner[window][glyph > 0.5] = len(boxes)
        labels.append(digit)
    return Scene((image * 255).round().astype(np.uint8), np.stack(boxes),
                 np.array(labels, np.int64), mask,
                 owner == np.arange(1, len(boxes) + 1)[:, None, None])


def scene_rng(seed: int, split: str, kind: int, index: int) -> np.random.Generator:
    """Source of the randomness of one scene; ``kind`` tells scenes, singles and streams apart."""
    return np.random.default_rng([seed, _SPLIT_KEY[split], kind, index])


@TASK_UTILS.register_module()
class DigitScenes:
    """Builds the digit-scenes dataset on disk; does nothing where it exists.

    Layout under ``root``: ``VOC2007/`` in Pascal VOC layout (JPEGImages,
    Annotations, ImageSets/Main, ImageSets/Segmentation, SegmentationClass) with
    splits train, val, trainval and test, and ``single/<split>/<class>/*.png``,
    class folders of one large digit each.

    Args:
        root: Folder to write to.
        num_scenes: Scenes per split.
        num_singles: Single-digit images per split.
        size: Side of the canvas in pixels, at least 32.
        seed: The set is a function of ``seed`` and the sizes alone.

    Raises:
        ValueError: If a size is out of range, or ``root`` holds something else,
            or digit scenes that were built with other settings.
    """

    splits = tuple(HANDWRITING)
    folders: Tuple[str, ...] = ('VOC2007', 'single')
    stamp = 'digit_scenes.txt'
    limits = dict(num_scenes=dict(low=0), num_singles=dict(low=0), size=dict(low=16),
                  seed=dict(low=0))

    def __init__(self,
                 root: str,
                 num_scenes: Optional[Dict[str, int]] = None,
                 num_singles: Optional[Dict[str, int]] = None,
                 size: int = 64,
                 seed: int = 0) -> None:
        self.root = root
        self.num_scenes = dict(num_scenes or dict(train=1000, val=200, test=300))
        self.num_singles = dict(num_singles or dict(train=2000, val=300, test=500))
        self.size = size
        self.seed = seed
        for counts in (self.num_scenes, self.num_singles):
            unknown = set(counts) - set(HANDWRITING)
            if unknown or min(counts.values(), default=0) < 0:
                raise ValueError(
                    f'DigitScenes: counts must be non-negative, for splits '
                    f'{sorted(HANDWRITING)}; got {counts}')
        if size < 32:
            raise ValueError(f'DigitScenes: size must be at least 32 pixels, got {size}')

    def _settings(self) -> str:
        return (f'scenes {sorted(self.num_scenes.items())} singles '
                f'{sorted(self.num_singles.items())} size {self.size} seed {self.seed}\n')

    @property
    def lock(self) -> Optional[str]:
        """The file that keeps two jobs from building at once; None where nothing is to build."""
        stamp = osp.join(self.root, self.stamp)
        return None if osp.isfile(stamp) else f'{stamp}.lock'

    def build(self) -> str:
        """Write the dataset if it is not there yet and return ``root``.

        Two processes must not build at once, see :attr:`lock`.
        """
        stamp = osp.join(self.root, self.stamp)
        begun = f'{stamp}.part'
        if osp.isfile(stamp):
            with open(stamp, 'rb') as f:
                found = f.read().decode(errors='replace')
            if found == self._settings():
                return self.root
            if re.fullmatch(STAMP, found):
                raise ValueError(
                    f'{self.root} holds digit scenes of other settings '
                    f'({found.strip()}); give another root')
            set_aside(stamp, 'it does not say what the scenes are', 'they are made again')
        elif not osp.isfile(begun):
            for name in self.folders:
                if osp.exists(osp.join(self.root, name)):
                    raise ValueError(
                        f'{osp.join(self.root, name)} is not of digit scenes; nothing was '
                        f'changed: give another root')
        atomic_write_text(begun, self._settings())
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(self._write_scene, split, i)
                    for split, n in self.num_scenes.items() for i in range(n)]
            jobs += [pool.submit(self._write_single, split, i)
                     for split, n in self.num_singles.items() for i in range(n)]
            for job in jobs:
                job.result()
        self._write_splits()
        atomic_write_text(stamp, self._settings())
        os.unlink(begun)
        return self.root

    def _name(self, split: str, index: int) -> str:
        return f'{split}_{index:06d}'

    def _write_scene(self, split: str, index: int) -> None:
        voc = osp.join(self.root, 'VOC2007')
        scene = render_scene(scene_rng(self.seed, split, 0, index), self.size, split)
        name = self._name(split, index)
        atomic_save_image(osp.join(voc, 'JPEGImages', f'{name}.jpg'), scene.image)
        atomic_save_image(osp.join(voc, 'SegmentationClass', f'{name}.png'),
                          scene.mask, palette=voc_palette())
        write_voc_xml(osp.join(voc, 'Annotations', f'{name}.xml'), f'{name}.jpg',
                      scene.image.shape, scene.bboxes - np.array([0, 0, 1, 1]),
                      [CLASSES[i] for i in scene.labels], segmented=True)

    def _write_single(self, split: str, index: int) -> None:
        rng = scene_rng(self.seed, split, 1, index)
        label = index % len(CLASSES)
        scene = render_scene(rng, self.size, split, 1, (0.55, 0.95), label)
        path = osp.join(self.root, 'single', split, CLASSES[label],
                        f'{self._name(split, index)}.png')
        atomic_save_image(path, scene.image)

    def _write_splits(self) -> None:
        names = {split: [self._name(split, i) for i in range(n)]
                 for split, n in self.num_scenes.items()}
        names['trainval'] = names.get('train', []) + names.get('val', [])
        for kind in ('Main', 'Segmentation'):
            for split, lines in names.items():
                write_image_set(
                    osp.join(self.root, 'VOC2007', 'ImageSets', kind, f'{split}.txt'), lines)


def scene_stream(seed: int, size: int = 64, single_share: float = 0.4,
                 split: str = 'train', start: int = 0) -> Iterator[Scene]:
    """An endless, deterministic stream of scenes to train a prior on.

    Args:
        seed: Seed of the stream.
        size: Side of the canvas in pixels.
        single_share: Share of scenes with one large digit.
        split: Whose handwriting to use.
        start: Index of the first scene; scene ``i`` does not depend on it.

    Yields:
        Scene: the next scene.
    """
    index = start
    while True:
        rng = scene_rng(seed, split, 2, index)
        if rng.random() < single_share:
            yield render_scene(rng, size, split, 1, (0.55, 0.95))
        else:
            yield render_scene(rng, size, split)
        index += 1
