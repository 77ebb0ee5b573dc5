"""Statistics of the latents of each class: streamed, kept on disk, shared by ranks."""
import hashlib
import json
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch

from mmdd.datasets.annotations import load_image
from mmdd.structures import RealAnnotation
from mmdd.utils.finite import check_features
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed, generator
from mmdd.utils.shards import do_shards
from mmdd.utils.state import read_arrays, write_arrays

Arrays = Dict[str, np.ndarray]


class ClassStatistics:
    """One summary of the latents of each class.

    A subclass writes :meth:`summarize` and nothing else. The images of a class go
    through the autoencoder in short batches, one class after the other; what is kept of
    a class is one file, written when the class is finished. A killed job resumes with
    the next class, ranks share the classes, and another job finds the files again
    where images, autoencoder and settings are the same.

    Args:
        posterior: 'mean' takes the mean of the autoencoder's posterior, 'sample' a
            draw from it, seeded by the image.
        resize: How images get the size of the synthetic ones: 'stretch', or 'crop',
            the largest centred part of that shape.
        batch_size: Images in one pass of the encoder; changes speed and memory alone.
        statistics_dir: Folder that several jobs share; None keeps the files with the job.

    Raises:
        ValueError: If an argument is out of range.
    """

    runtime_settings = ('batch_size', 'statistics_dir')
    limits = dict(posterior=('mean', 'sample'), resize=('stretch', 'crop'),
                  batch_size=dict(low=1))

    def __init__(self, posterior: str = 'mean', resize: str = 'stretch', batch_size: int = 16,
                 statistics_dir: Optional[str] = None) -> None:
        name = type(self).__name__
        if posterior not in ('mean', 'sample') or resize not in ('stretch', 'crop'):
            raise ValueError(f"{name}: posterior must be 'mean' or 'sample' and resize 'stretch' "
                             f"or 'crop', got {posterior!r} and {resize!r}")
        if batch_size < 1:
            raise ValueError(f'{name}: batch_size must be at least 1, got {batch_size}')
        self.posterior = posterior
        self.resize = resize
        self.batch_size = batch_size
        self.statistics_dir = statistics_dir
        self._members: List[List[RealAnnotation]] = []
        self._keys: Dict[int, str] = {}
        self._found: Dict[int, Arrays] = {}

    def summarize(self, latents: Iterator[np.ndarray], total: int, num: int,
                  seed: int) -> Arrays:
        """What is kept of a class.

        Args:
            latents: Batches (B, C, h, w) fp32, together (N, C, h, w).
            total: N.
            num: How many images are to be made of the class.
            seed: Seed of whatever is random.
        """
        raise NotImplementedError

    def settings(self) -> Dict[str, Any]:
        """Settings that change the statistics, in plain numbers and text."""
        return dict(type=type(self).__name__, posterior=self.posterior, resize=self.resize)

    def fit(self, diffusion, members: Sequence[Sequence[RealAnnotation]], num: int,
            size: Tuple[int, int], seed: int, folder: Optional[str] = None) -> None:
        """Compute what is not there yet; the ranks share the classes.

        Args:
            diffusion: Adapter whose encoder makes the latents.
            members: The real images of each class.
            num: How many images are to be made of each class.
            size: (height, width) of the synthetic images in pixels.
            seed: Seed of whatever is random.
            folder: Where files go without a ``statistics_dir``, on a disk that all ranks
                share; None keeps the statistics in memory, and each rank works alone.

        Raises:
            ValueError: If a class has fewer images than ``num``, an image cannot be
                read, or a latent is not finite.
        """
        self._diffusion, self._size, self._seed = diffusion, tuple(size), seed
        self._members = [list(own) for own in members]
        self._num, self._keys, self._found = num, {}, {}
        self._folder = self.statistics_dir or folder
        for label, own in enumerate(self._members):
            if len(own) < num:
                raise ValueError(
                    f'{type(self).__name__}: class {label} has {len(own)} real images, fewer than '
                    f'the {num} clusters asked for; lower the budget or leave the class out')
        self._common = json.dumps(dict(
            self.settings(), autoencoder=diffusion.autoencoder_digest(), size=self._size,
            num=num, seed=seed), sort_keys=True)
        do_shards('latents of the real set', [len(own) for own in self._members], self._class,
                  shared=self._folder is not None)

    def read(self, label: int) -> Arrays:
        """The statistics of a class.

        Raises:
            ValueError: If its file is gone or damaged.
        """
        if label not in self._found:
            found = self._load(label)
            if found is None:
                raise ValueError(f'{self._file(label)}: the statistics of class {label} are gone '
                                 f'or damaged; run the job again with --resume')
            self._found = {label: found}  # one class at a time: a large set does not fit
        return self._found[label]

    def key(self, label: int) -> str:
        """What the statistics of a class depend on, as 16 hexadecimal digits."""
        if label not in self._keys:
            files = [(a.image_id, os.stat(a.path).st_size, os.stat(a.path).st_mtime_ns)
                     for a in self._members[label]]
            text = f'{self._common}\n{files}'
            self._keys[label] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._keys[label]

    def member(self, label: int, index: int) -> RealAnnotation:
        """A real image of a class by its position there."""
        return self._members[label][index]

    def _class(self, label: int, pool: ThreadPoolExecutor, progress: Progress) -> None:
        total = len(self._members[label])
        if self._load(label) is not None:
            progress.skip(total)
            return
        found = self.summarize(self._latents(label, pool, progress), total, self._num,
                               derive_seed('statistics', self._seed))
        found = {name: value.astype(np.float16) if value.dtype == np.float32 else value
                 for name, value in found.items()}
        for name, value in found.items():
            rows = np.atleast_1d(value)
            check_features(rows, [f'class {label}'] * len(rows),
                           'its latents are too large for half precision', name)
        if self._folder is None:
            self._found[label] = _as_read(found)
            return
        write_arrays(self._file(label), **found)

    def _latents(self, label: int, pool: ThreadPoolExecutor,
                 progress: Progress) -> Iterator[np.ndarray]:
        own = self._members[label]
        for begin in range(0, len(own), self.batch_size):
            batch = own[begin:begin + self.batch_size]
            latents = self._encode(batch, list(pool.map(self._read_image, batch)))
            check_features(latents, [annotation.path for annotation in batch],
                           "set model.diffusion.dtype to 'fp32'", 'latents')
            progress.add(len(batch))
            yield latents

    @torch.no_grad()
    def _encode(self, batch: Sequence[RealAnnotation], images: List[np.ndarray]) -> np.ndarray:
        tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        tensor = tensor.to(self._diffusion.device).float() / 255
        options = {}
        if self.posterior == 'sample':
            options['generators'] = [
                generator('posterior', self._seed, a.image_id) for a in batch]
        return self._diffusion.encode_images(tensor, **options).float().cpu().numpy()

    def _read_image(self, annotation: RealAnnotation) -> np.ndarray:
        height, width = self._size
        return load_image(annotation.path, (height, width), crop=self.resize == 'crop')

    def _file(self, label: int) -> str:
        assert self._folder is not None
        return osp.join(self._folder, f'{self.key(label)}.npz')

    def _load(self, label: int) -> Optional[Arrays]:
        """Statistics that are there; None where they are missing or damaged."""
        if self._folder is None:
            return self._found.get(label)
        found = read_arrays(self._file(label))
        return None if found is None else _as_read(found)


def _as_read(arrays: Arrays) -> Arrays:
    return {name: value.astype(np.float32) if value.dtype == np.float16 else value
            for name, value in arrays.items()}
