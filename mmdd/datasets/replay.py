"""A training set that repeats the augmentations stored with soft labels."""
import hashlib
import os.path as osp
from typing import Any, Dict, Iterator, Optional

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmdd.registry import DATA_SAMPLERS, DATASETS
from mmdd.utils.io import sha256
from mmdd.utils.seed import derive_seed
from .soft_labels import SoftLabelStore, batches_per_epoch, rows_of_epoch
from .views import check_class_order


def set_digest(dataset: Any) -> str:
    """SHA-256 of the images of a classification dataset, their order and their labels."""
    root = dataset.img_prefix if hasattr(dataset, 'img_prefix') else ''
    lines = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        name = osp.relpath(info['img_path'], root) if root else info['img_path']
        lines.append(f'{name} {info["gt_label"]} {sha256(info["img_path"])}')
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


class LabelledDataset:
    """A stock dataset beside labels that are stored elsewhere.

    Args:
        dataset: A stock classification dataset that reads image files, or its config.
        labels: Folder of a :class:`SoftLabelStore`, or an open one.
        lazy_init: Whether the list of images is read later.
        check: Whether the images are compared with those the labels are of.

    Raises:
        FileNotFoundError: If there are no soft labels.
        ValueError: If they are of another set.
    """

    def __init__(self, dataset: Any, labels: Any, lazy_init: bool, check: bool = True) -> None:
        self.store = open_store(labels)
        self.dataset = ROOT_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self._rows: Optional[np.ndarray] = None
        if not lazy_init:
            self.full_init()
        if check:
            check_set(self.store, self.dataset)

    def full_init(self) -> None:
        """Read the list of images."""
        self.dataset.full_init()

    @property
    def metainfo(self) -> dict:
        """Classes and more of the stock dataset."""
        return self.dataset.metainfo

    def __len__(self) -> int:
        return len(self.dataset)


@DATASETS.register_module()
class SoftLabelDataset(LabelledDataset):
    """The images a teacher saw, epoch by epoch, with its logits.

    An item is self-contained: its partner is read too, and the box is
    filled here. So the student's batch size and the number of ranks are free. The index of
    an item is ``epoch * len(self) + row``; :class:`ReplaySampler` makes them.

    Args:
        dataset: A stock classification dataset that reads image files, or its config;
            its pipeline has one ``mmdd.RecordedCrop`` and no other random step, and packs
            the image as uint8.
        labels: Folder of a :class:`SoftLabelStore`, or an open one.
        reuse: Number of stored epochs that are used; later ones begin again with the
            first. None takes them all, once.
        check: Whether the images are compared with those the labels are of.

    Raises:
        FileNotFoundError: If there are no soft labels.
        ValueError: If they are of another set.
    """

    limits = dict(reuse=dict(low=1))

    def __init__(self, dataset: Any, labels: Any, reuse: Optional[int] = None,
                 check: bool = True, lazy_init: bool = False) -> None:
        super().__init__(dataset, labels, lazy_init, check)
        self.reuse = reuse
        self._epoch: Optional[int] = None

    def __getitem__(self, index: int) -> Dict[str, Any]:
        epoch, row = divmod(int(index), len(self))
        rows = self._epoch_rows(epoch)
        item = self._crop(rows[row])
        x1, y1, x2, y2 = (int(value) for value in rows[row]['box'])
        if x2 > x1 and y2 > y1 and rows[row]['partner'] != row:
            partner = self._crop(rows[rows[row]['partner']])
            # PackInputs may return a view of the decoded array.
            item['inputs'] = item['inputs'].clone()
            item['inputs'][:, y1:y2, x1:x2] = partner['inputs'][:, y1:y2, x1:x2]
        item['data_samples'].set_field(
            torch.from_numpy(self.store.logits(rows[row])), 'soft_logits')
        return item

    def _epoch_rows(self, epoch: int) -> np.ndarray:
        if self.reuse and self.store.epochs:
            epoch %= min(self.reuse, self.store.epochs)
        if self._rows is None or epoch != self._epoch:
            self._epoch, self._rows = epoch, self.store.rows(epoch)
        return self._rows

    def _crop(self, row: np.void) -> Dict[str, Any]:
        info = self.dataset.get_data_info(int(row['image']))
        info['crop_box'] = row['crop']
        info['crop_flip'] = bool(row['flip'])
        return self.dataset.pipeline(info)


def check_set(store: SoftLabelStore, dataset: Any) -> None:
    """Check that soft labels are of a set.

    Args:
        store: The labels.
        dataset: The stock classification dataset of the set.

    Raises:
        ValueError: If they are of other images or classes.
    """
    settings, folder = store.settings, store.folder
    if settings['images'] != len(dataset):
        raise ValueError(f'{folder} has soft labels of {settings["images"]} images, the set '
                         f'has {len(dataset)}; write labels for this set')
    check_class_order(folder, settings['classes'], 'the set', dataset.metainfo.get('classes'),
                      'write labels for this set')
    if settings['set'] != set_digest(dataset):
        raise ValueError(f'{folder} has soft labels of a set with other images; write labels '
                         f'for this set')


def open_store(labels: Any) -> SoftLabelStore:
    """The store of a folder; an open one stays.

    Raises:
        FileNotFoundError: If there are no soft labels.
        ValueError: If there is no folder.
    """
    if labels is None:
        raise ValueError('SoftLabelDataset: no folder of soft labels; write them with '
                         'tools/relabel.py and set protocol.schedule.labels')
    return SoftLabelStore(labels) if isinstance(labels, str) else labels


@DATA_SAMPLERS.register_module()
class ReplaySampler:
    """The rows of an epoch in their stored order, dealt out to the ranks.

    Args:
        dataset: A :class:`SoftLabelDataset`.
        seed: Unused; the order is that of the labels.
    """

    def __init__(self, dataset: SoftLabelDataset, seed: Optional[int] = None) -> None:
        self.size = len(dataset)
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.size
        for step in range(len(self)):
            # The last ranks repeat the first rows where the set cannot be divided.
            yield start + (step * self.world_size + self.rank) % self.size

    def __len__(self) -> int:
        return -(-self.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by ``DistSamplerSeedHook`` before each epoch."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class PoolSampler:
    """Batches drawn with replacement from a pool of labelled ones, as in LPLD.

    An epoch has as many batches as the set has full ones ("Are Large-scale Soft Labels
    Necessary for Large-scale Dataset Distillation?", https://arxiv.org/abs/2410.15919). What is
    drawn depends on seed and epoch alone.

    Args:
        dataset: A :class:`SoftLabelDataset` whose labels have ``batches``.
        seed: Seed of the training; a random one that all ranks share if None.
    """

    def __init__(self, dataset: SoftLabelDataset, seed: Optional[int] = None) -> None:
        settings = dataset.store.settings
        self.images, self.batch = settings['images'], settings['batch_size']
        self.pool = settings['batches']
        self.seed = sync_random_seed() if seed is None else seed
        self.each = batches_per_epoch(self.images, self.batch)
        self.size = rows_of_epoch(dict(settings, batches=self.each), 0)
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0

    def batches(self) -> np.ndarray:
        """Numbers of the pool's batches that make this epoch."""
        rng = np.random.default_rng(derive_seed('label pool', self.seed, self.epoch))
        return rng.integers(0, self.pool, self.each)

    def __iter__(self) -> Iterator[int]:
        batch = self.size // self.each
        indices = [epoch * self.images + row * batch + i
                   for epoch, row in (divmod(int(number), self.each) for number in self.batches())
                   for i in range(batch)]
        for step in range(len(self)):
            yield indices[(step * self.world_size + self.rank) % self.size]

    def __len__(self) -> int:
        return -(-self.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by ``DistSamplerSeedHook`` before each epoch."""
        self.epoch = epoch


@DATASETS.register_module()
class ImageLabelDataset(LabelledDataset):
    """A stock dataset, each of whose images has one stored label, however it is augmented.

    Args:
        dataset: A stock classification dataset that reads image files, or its config.
        labels: Folder of a :class:`SoftLabelStore` of the regime 'image', or an open one.

    Raises:
        FileNotFoundError: If there are no soft labels.
        ValueError: If they are of another set.
    """

    def __init__(self, dataset: Any, labels: Any, lazy_init: bool = False) -> None:
        super().__init__(dataset, labels, lazy_init)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        if self._rows is None:
            self._rows = self.store.rows(0)
        item = self.dataset[index]
        item['data_samples'].set_field(
            torch.from_numpy(self.store.logits(self._rows[index])), 'soft_logits')
        return item
