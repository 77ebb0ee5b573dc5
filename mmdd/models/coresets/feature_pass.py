"""Features of many images: streamed, shared by ranks, kept for a resumed job."""
import os
import os.path as osp
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import List, Optional, Sequence, Tuple
from zipfile import BadZipFile

import numpy as np
import torch
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.logging import print_log

from mmdd.datasets.annotations import load_image
from mmdd.utils.finite import check_features
from mmdd.utils.io import atomic_path
from mmdd.utils.seed import derive_seed

# Batches per block: what a rank does at a time, and what a killed job may lose.
BLOCK = 16


class FeaturePass:
    """Computes features of image files, batch by batch.

    Batches are cut the same way on any number of ranks, so that the features
    are the same to the last bit.

    Args:
        extractor: Model with ``features(images (B, 3, H, W)) -> (B, D)``.
        paths: Image files.
        size: (height, width) to which images are stretched.
        batch_size: Images in one forward pass.
        folder: Where finished blocks are kept and found again, on a disk that
            all ranks share; None keeps nothing, and the rank works alone.
        name: What is going on, for the log.
        share: Whether all ranks take part, if there is a folder.
    """

    def __init__(self, extractor, paths: Sequence[str], size: Tuple[int, int], batch_size: int,
                 folder: Optional[str] = None, name: str = 'features',
                 share: bool = True) -> None:
        self.extractor = extractor
        self.paths = list(paths)
        self.size = tuple(size)
        self.batch_size = batch_size
        self.folder = folder
        self.name = name
        self.shared = share and folder is not None and get_world_size() > 1
        step = batch_size * BLOCK
        self.blocks = [self.paths[i:i + step] for i in range(0, len(self.paths), step)]

    def run(self) -> Optional[torch.Tensor]:
        """Compute what is not there yet.

        Returns:
            Tensor: (N, D) fp32 on the CPU; None on other ranks than the first,
            if they share the work.

        Raises:
            ValueError: If an image cannot be read, or its features are not finite.
        """
        mine = range(len(self.blocks))[get_rank()::get_world_size()] if self.shared else range(
            len(self.blocks))
        progress = Progress(self.name, sum(len(self.blocks[i]) for i in mine))
        found = {}
        with ThreadPoolExecutor(4) as pool:
            for i in mine:
                found[i] = self._block(i, pool, progress)
        if self.shared:
            barrier()
            if get_rank() != 0:
                return None
            found.update({i: self._load(i) for i in range(len(self.blocks)) if i not in found})
        parts = [found[i] for i in range(len(self.blocks))]
        return torch.from_numpy(np.concatenate(parts)) if parts else torch.zeros(0, 0)

    def _block(self, index: int, pool: ThreadPoolExecutor, progress: 'Progress') -> np.ndarray:
        features = self._load(index)
        if features is not None:
            progress.skip(len(features))
            return features
        parts = []
        for batch in self._batches(index):
            parts.append(extract(self.extractor, pool.map(self._read, batch)))
            check_features(parts[-1], [self._path(item) for item in batch],
                           'the network that makes them overflows: give it other weights')
            progress.add(len(batch))
        features = np.concatenate(parts)
        if self.folder is not None:
            with atomic_path(self._file(index)) as tmp:
                np.savez(tmp, features=features, key=self._key(index))
        return features

    def _batches(self, index: int) -> List[List[str]]:
        paths = self.blocks[index]
        return [paths[i:i + self.batch_size] for i in range(0, len(paths), self.batch_size)]

    def _path(self, item: str) -> str:
        return item

    def _read(self, path: str) -> np.ndarray:
        return load_image(path, self.size)

    def _file(self, index: int) -> str:
        return osp.join(self.folder, f'{index:06d}.npz')

    def _key(self, index: int) -> int:
        """What a block is about: these files, unchanged, at this size."""
        files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns)
                 for path in self.blocks[index]]
        return derive_seed('features', str(self.size), str(self.batch_size), str(files))

    def _load(self, index: int) -> Optional[np.ndarray]:
        """Features of a finished block; None where they are missing or of other files."""
        if self.folder is None or not osp.isfile(self._file(index)):
            return None
        try:
            with np.load(self._file(index)) as content:
                return content['features'] if content['key'] == self._key(index) else None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None


def extract(extractor, images) -> np.ndarray:
    """Features (B, D) fp32 of uint8 RGB images (H, W, 3) of one size."""
    tensor = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2)
    parameter = next(extractor.parameters(), None)
    tensor = tensor.to('cpu' if parameter is None else parameter.device).float() / 255
    return extractor.features(tensor).detach().float().cpu().numpy()


class Progress:
    """Logs how far a long pass is and when it will end.

    Args:
        name: What is going on.
        total: How many things there are.
        every: Least seconds between two lines; nothing is logged before.
    """

    def __init__(self, name: str, total: int, every: float = 10.) -> None:
        self.name = name
        self.total = total
        self.every = every
        self.done = self.counted = 0
        self.begin = self.last = time.monotonic()

    def skip(self, number: int) -> None:
        """Count things that took no time."""
        self.done += number

    def add(self, number: int) -> None:
        """Count things that are done now."""
        self.done += number
        self.counted += number
        now = time.monotonic()
        if now - self.last < self.every:
            return
        self.last = now
        left = (self.total - self.done) * (now - self.begin) / self.counted
        print_log(f'{self.name}: {self.done} of {self.total} images, '
                  f'eta: {timedelta(seconds=int(left))}', 'current')
