"""Features of many images: streamed, shared by ranks, kept for a resumed job."""
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import get_rank, get_world_size

from mmdd.datasets.annotations import load_image
from mmdd.structures import RealAnnotation
from mmdd.utils.finite import check_features
from mmdd.utils.io import atomic_path
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed
from mmdd.utils.shards import do_shards
from mmdd.utils.state import read_arrays, write_arrays

# Batches per block: what a rank does at a time, and what a killed job may lose.
BLOCK = 16


class FeaturePass:
    """Computes features of image files, batch by batch.

    Batches are cut the same way on any number of ranks, so that the features
    are the same to the last bit.

    Args:
        extractor: Model with ``features(images (B, 3, H, W)) -> (B, D)``.
        paths: Image files.
        size: (height, width) to which images are brought.
        batch_size: Images in one forward pass.
        folder: Where finished blocks are kept and found again, on a disk that
            all ranks share; None keeps nothing, and the rank works alone.
        name: What is going on, for the log.
        share: Whether all ranks take part, if there is a folder.
        crop: Cut images to the shape of ``size`` instead of stretching them.
    """

    def __init__(self, extractor, paths: Sequence[Any], size: Tuple[int, int], batch_size: int,
                 folder: Optional[str] = None, name: str = 'features',
                 share: bool = True,
                 crop: bool = False) -> None:
        self.extractor = extractor
        self.paths = list(paths)
        height, width = size
        self.size = (height, width)
        self.batch_size = batch_size
        self.folder = folder
        self.name = name
        self.crop = crop
        self.shared = share and folder is not None and get_world_size() > 1
        step = batch_size * BLOCK
        self.blocks = [self.paths[i:i + step] for i in range(0, len(self.paths), step)]

    def run(self) -> Optional[torch.Tensor]:
        """Compute what is not there yet.

        Returns:
            Tensor: (N, D) fp32 on the CPU, mapped from a file of ``folder`` where there is one;
            None on other ranks than the first, if they share the work.

        Raises:
            ValueError: If an image cannot be read, or its features are not finite.
        """
        do = self._block if self.folder is None else self._stored
        found = do_shards(self.name, [len(block) for block in self.blocks], do, self.shared)
        if self.shared and get_rank() != 0:
            return None
        if self.folder is not None and self.blocks:
            return self._mapped()
        parts = [block for block in found.values() if block is not None]
        return torch.from_numpy(np.concatenate(parts)) if parts else torch.zeros(0, 0)

    def kept(self) -> Optional[np.ndarray]:
        """Features (N, D) of an earlier run; None unless all of them are there. Writes nothing."""
        blocks = [self._load(i) for i in range(len(self.blocks))]
        found = [block for block in blocks if block is not None]
        return np.concatenate(found) if found and len(found) == len(blocks) else None

    def _mapped(self) -> torch.Tensor:
        """All features in one file, of which memory holds no more than is read."""
        assert self.folder is not None
        path, begin = osp.join(self.folder, 'features.npy'), 0
        store: Optional[np.ndarray] = None
        with atomic_path(path) as tmp:
            for i in range(len(self.blocks)):
                block = self._load(i)
                assert block is not None, 'all blocks are there'
                if store is None:
                    store = np.lib.format.open_memmap(
                        tmp, 'w+', np.float32, (len(self.paths), block.shape[1]))
                store[begin:begin + len(block)] = block
                begin += len(block)
            assert isinstance(store, np.memmap)
            store.flush()
        # Copy on write: a selector that changes its features changes no file.
        return torch.from_numpy(np.load(path, mmap_mode='c'))

    def _stored(self, index: int, pool: ThreadPoolExecutor, progress: Progress) -> None:
        """Do a block that is on disk then, and in no memory."""
        self._block(index, pool, progress)

    def _block(self, index: int, pool: ThreadPoolExecutor, progress: Progress) -> np.ndarray:
        features = self._load(index)
        if features is not None:
            progress.skip(len(features))
            return features
        parts = []
        for batch in self._batches(index):
            parts.append(self._extract(pool.map(self._read, batch), batch))
            check_features(parts[-1], [self._path(item) for item in batch],
                           'the network that makes them overflows: give it other weights')
            progress.add(len(batch))
        features = np.concatenate(parts)
        if self.folder is not None:
            write_arrays(self._file(index), features=features, key=self._key(index))
        return features

    def _batches(self, index: int) -> List[List[str]]:
        paths = self.blocks[index]
        return [paths[i:i + self.batch_size] for i in range(0, len(paths), self.batch_size)]

    def _extract(self, images: Iterable[np.ndarray], items: Sequence[Any]) -> np.ndarray:
        return extract(self.extractor, images)

    def _path(self, item: Any) -> str:
        return item

    def _read(self, item: Any) -> np.ndarray:
        return load_image(item, self.size, self.crop)

    def _file(self, index: int) -> str:
        assert self.folder is not None
        return osp.join(self.folder, f'{index:06d}.npz')

    def _key(self, index: int) -> int:
        """What a block is about: these files, unchanged, at this size."""
        files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns)
                 for path in map(self._path, self.blocks[index])]
        cut = ('crop', ) if self.crop else ()
        return derive_seed('features', str(self.size), str(self.batch_size), str(files), *cut)

    def _load(self, index: int) -> Optional[np.ndarray]:
        """Features of a finished block; None where they are missing or of other files."""
        if self.folder is None:
            return None
        found = read_arrays(self._file(index), ('features', 'key'))
        return found['features'] if found and found['key'] == self._key(index) else None


class AnnotationPass(FeaturePass):
    """A :class:`FeaturePass` whose numbers may depend on the annotations of the images.

    Args:
        describe: ``describe(extractor, images (B, 3, H, W), annotations) -> (B, D)``.
        extractor: Model that it reads the images with.
        annotations: Those of real images.
        size, batch_size, folder, name: As in :class:`FeaturePass`.
    """

    def __init__(self, describe: Callable, extractor, annotations: Sequence[RealAnnotation],
                 size: Tuple[int, int], batch_size: int, folder: Optional[str] = None,
                 name: str = 'features') -> None:
        super().__init__(extractor, annotations, size, batch_size, folder, name)
        self.describe = describe

    def _extract(self, images: Iterable[np.ndarray],
                 items: Sequence[RealAnnotation]) -> np.ndarray:
        found = self.describe(self.extractor, to_batch(self.extractor, images), items)
        return found.detach().float().cpu().numpy()

    def _path(self, item: RealAnnotation) -> str:
        return item.path

    def _read(self, item: RealAnnotation) -> np.ndarray:
        return load_image(item.path, self.size)


def to_batch(extractor, images: Iterable[np.ndarray]) -> torch.Tensor:
    """RGB images (B, 3, H, W) in [0, 1], where the extractor is, of uint8 (H, W, 3) ones."""
    tensor = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2)
    parameter = next(extractor.parameters(), None)
    return tensor.to('cpu' if parameter is None else parameter.device).float() / 255


def extract(extractor, images: Iterable[np.ndarray]) -> np.ndarray:
    """Features (B, D) fp32 of uint8 RGB images (H, W, 3) of one size."""
    return extractor.features(to_batch(extractor, images)).detach().float().cpu().numpy()


@torch.no_grad()
def image_features(proxy: Any, paths: Sequence[str], image_size: Any,
                   batch_size: int = 32) -> np.ndarray:
    """Features (N, D) fp32 of image files by a proxy, stretched to (height, width) or squares."""
    proxy = proxy.to(get_device())
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    return np.concatenate([
        extract(proxy, [load_image(path, size) for path in paths[i:i + batch_size]])
        for i in range(0, len(paths), batch_size)])
