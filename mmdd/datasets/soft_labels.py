"""Soft labels on disk: what a teacher says of every augmented image of every epoch.

The layout follows "A Fast Knowledge Distillation Framework"
(https://arxiv.org/abs/2112.01528): the augmentation of an image is stored beside the
logits, so that a student sees just the images that the teacher saw.
"""
import json
import math
import os.path as osp
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from mmdd.utils.io import atomic_path, sha256, sha256_once
from mmdd.utils.seed import derive_seed
from mmdd.utils.state import Damaged, load_state, read_state, set_aside, write_state
from .label_codec import FP16, read_logits, settings_type

INDEX = 'labels.json'


def draw_crop(rng: np.random.Generator, size: Sequence[int], area: Sequence[float],
              aspect: Sequence[float] = (3 / 4, 4 / 3)) -> Tuple[int, int, int, int]:
    """A random crop (x, y, width, height) of an image.

    Args:
        rng: Source of randomness.
        size: (height, width) of the image in pixels.
        area: Smallest and largest share of the area.
        aspect: Smallest and largest width / height. After ten crops that
            do not fit, the largest central one within these is taken.
    """
    height, width = (int(side) for side in size)
    for _ in range(10):
        target = rng.uniform(area[0], area[1]) * height * width
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            return (int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)),
                    w, h)
    ratio = min(max(width / height, aspect[0]), aspect[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (width - w) // 2, (height - h) // 2, w, h


def draw_box(rng: np.random.Generator, size: int, alpha: float) -> Tuple[int, int, int, int]:
    """A CutMix box (x1, y1, x2, y2) on a square image (https://arxiv.org/abs/1905.04899).

    Its area before clipping is 1 - Beta(alpha, alpha) of the image; its centre is uniform.
    """
    side = int(size * math.sqrt(1 - rng.beta(alpha, alpha)))
    centre = rng.integers(0, size, 2)
    low = np.clip(centre - side // 2, 0, size)
    high = np.clip(centre + side // 2, 0, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def draw_epoch(settings: Dict[str, Any], epoch: int, sizes: np.ndarray,
               dtype: np.dtype) -> np.ndarray:
    """Order and augmentation of one epoch, without logits.

    Args:
        settings: ``seed``, ``batch_size``, ``image_size``, ``crop_area``, ``flip_prob``
            and ``cutmix`` (alpha, 0 for none) of the labels.
        epoch: Number of the epoch from 0.
        sizes: (N, 2) height and width of each image in pixels.
        dtype: See :func:`row_type`.

    Returns:
        np.ndarray: (N, ) rows. Within a batch all boxes are the same and
        partners are a permutation.
    """
    seed, total = settings['seed'], len(sizes)
    rng = np.random.default_rng(derive_seed('soft labels', seed, epoch))
    rows = np.zeros(total, dtype)
    rows['image'] = rng.permutation(total)
    rows['share'] = 1
    for row in rows:
        own = np.random.default_rng(derive_seed('soft labels', seed, epoch, int(row['image'])))
        row['crop'] = draw_crop(own, sizes[row['image']], settings['crop_area'])
        row['flip'] = own.random() < settings['flip_prob']
    size = settings['image_size']
    for start in range(0, total, settings['batch_size']):
        batch = slice(start, min(start + settings['batch_size'], total))
        rows['partner'][batch] = start + rng.permutation(batch.stop - start)
        if settings['cutmix']:
            box = draw_box(rng, size, settings['cutmix'])
            rows['box'][batch] = box
            rows['share'][batch] = 1 - (box[2] - box[0]) * (box[3] - box[1]) / size**2
    return rows


class SoftLabelStore:
    """A folder with ``labels.json`` and one ``epoch_XXXX.npy`` an epoch.

    Args:
        folder: The folder.

    Attributes:
        info: Content of ``labels.json``: ``settings`` (what the labels depend on),
            ``bytes`` (planned size) and ``files`` (SHA-256 of each finished epoch).

    Raises:
        FileNotFoundError: If there are no soft labels.
        ValueError: If ``labels.json`` cannot be read.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        path = osp.join(folder, INDEX)
        try:
            self.info = load_state(path, _is_index)
        except FileNotFoundError:
            raise FileNotFoundError(f'no soft labels in {folder}: {INDEX} not found; write them '
                                    f'with tools/relabel.py') from None
        except Damaged as error:
            raise ValueError(f'{path} is damaged ({error.why}); write the labels again with '
                             f'tools/relabel.py') from None
        self.dtype = settings_type(self.settings)

    @classmethod
    def create(cls, folder: str, settings: Dict[str, Any]) -> 'SoftLabelStore':
        """Begin a store, or resume one of the same settings; epochs may be added.

        A damaged index or epoch is set aside, to be written again.

        Args:
            folder: Where it goes.
            settings: What the labels depend on: ``images``, ``num_classes``, ``epochs``,
                ``topk``, ``temperature``, those of :func:`draw_epoch`, and whatever identifies
                set and teacher; plain JSON values. Optional ones: ``precision``; ``batches``,
                of a pool, stored of the first epochs; ``regime``, 'image' for rows that are of
                the images as they are.

        Raises:
            ValueError: If the folder holds labels of other settings.
        """
        settings = json.loads(json.dumps(settings))
        if read_state(osp.join(folder, INDEX), _is_index) is not None:
            store = cls(folder)
            other = sorted(key for key in {*settings, *store.settings} - {'epochs'}
                           if settings.get(key) != store.settings.get(key))
            if other:
                raise ValueError(f'{folder} holds soft labels that differ in {", ".join(other)}; '
                                 f'give another folder')
            files = store.whole_files()
            if settings['epochs'] <= store.settings['epochs']:
                if files != store.info['files']:
                    write_state(osp.join(folder, INDEX), dict(store.info, files=files))
                return cls(folder)
        else:
            files = {}
        write_state(osp.join(folder, INDEX), dict(
            settings=settings, files=files, bytes=planned_bytes(settings)))
        return cls(folder)

    @property
    def settings(self) -> Dict[str, Any]:
        """What the labels depend on."""
        return self.info['settings']

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.info['files'])

    @property
    def missing(self) -> List[int]:
        """Numbers of the epochs that are not finished."""
        return [epoch for epoch in range(self.settings['epochs'])
                if self.file(epoch) not in self.info['files']]

    def whole_files(self) -> Dict[str, str]:
        """The finished epochs that are undamaged; the others are set aside."""
        whole = {}
        for name, digest in self.info['files'].items():
            path = osp.join(self.folder, name)
            if osp.isfile(path) and sha256_once(path) == digest:
                whole[name] = digest
            else:
                set_aside(path, 'its checksum differs', 'the labels are written again')
        return whole

    def file(self, epoch: int) -> str:
        """Name of the file of an epoch."""
        return f'epoch_{epoch:04d}.npy'

    def write(self, epoch: int, rows: np.ndarray) -> None:
        """Store the rows of an epoch."""
        path = osp.join(self.folder, self.file(epoch))
        with atomic_path(path) as tmp:
            np.save(tmp, rows)
        self.info['files'][self.file(epoch)] = sha256(path)
        write_state(osp.join(self.folder, INDEX), self.info)

    def rows(self, epoch: int) -> np.ndarray:
        """Rows of an epoch, mapped from disk, not read into memory.

        Raises:
            ValueError: If the epoch is not there, or its file is not of this store.
        """
        if not 0 <= epoch < self.epochs:
            raise ValueError(f'{self.folder} has soft labels of {self.epochs} epochs, epoch '
                             f'{epoch + 1} is asked for; write more with tools/relabel.py')
        path = osp.join(self.folder, self.file(epoch))
        try:
            rows = np.load(path, mmap_mode='r')
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f'{path} cannot be read ({error}); write the labels again with '
                             f'tools/relabel.py') from error
        if rows.dtype != self.dtype or len(rows) != rows_of_epoch(self.settings, epoch):
            raise ValueError(f'{path} does not belong to these soft labels; write them again in '
                             f'another folder')
        return rows

    def logits(self, row: np.void) -> np.ndarray:
        """All logits (K, ) of a row, float32; with ``topk`` the rest has one value."""
        return read_logits(row, self.settings['num_classes'])

    def verify(self) -> None:
        """Compare every file with its SHA-256.

        Raises:
            ValueError: With the first file that is missing or changed.
        """
        for name, digest in self.info['files'].items():
            path = osp.join(self.folder, name)
            if not osp.isfile(path) or sha256_once(path) != digest:
                raise ValueError(f'{path} is missing or changed; write the labels again with '
                                 f'tools/relabel.py')


def _is_index(content: Dict[str, Any]) -> bool:
    settings = content['settings']
    return isinstance(content['files'], dict) and bool(
        settings_type(settings).itemsize and settings['images'])


def rows_of_epoch(settings: Mapping[str, Any], epoch: int) -> int:
    """Rows that are stored of an epoch: all, or those of the pool's batches that are in it."""
    if settings.get('batches') is None:
        return settings['images']
    each = batches_per_epoch(settings['images'], settings['batch_size'])
    batches = min(each, settings['batches'] - epoch * each)
    return min(settings['images'], batches * settings['batch_size'])


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Full batches of an epoch; one of all images where there are fewer than a batch."""
    return max(1, images // batch_size)


def planned_bytes(settings: Mapping[str, Any]) -> int:
    """Size of the rows of all epochs, without the headers of their files (about 0.3 KiB each)."""
    return settings_type(settings).itemsize * sum(
        rows_of_epoch(settings, epoch) for epoch in range(settings['epochs']))


def planned_size(settings: Mapping[str, Any]) -> str:
    """One line that tells the size of the labels before they are written."""
    row = settings_type(settings).itemsize
    kept = '' if settings['topk'] is None else f', top {settings["topk"]} kept'
    if settings.get('batches') is not None:
        what = f'{settings["batches"]} batches x {settings["batch_size"]} images'
    elif settings.get('regime') == 'image':
        what = f'{settings["images"]} images'
    else:
        what = f'{settings["images"]} images x {settings["epochs"]} epochs'
    return (f'soft labels: {what} x {row} bytes ({settings["num_classes"]} classes in '
            f'{settings.get("precision", FP16)}{kept}) = '
            f'{planned_bytes(settings) / 2**20:.1f} MiB')
