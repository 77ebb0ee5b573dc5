"""Cluster centres of the latents of each class, by mini-batch k-means."""
import tempfile
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.utils.numbers import check_number
from .class_statistics import Arrays, ClassStatistics


@TASK_UTILS.register_module()
class LatentClusters(ClassStatistics):
    """Prototypes of D4M (https://arxiv.org/abs/2407.15138), section 3.2, algorithm 1.

    As many clusters per class as images are made of it. The centres start at latents of
    the first mini-batch; each further latent moves the centre that is nearest to it when its
    mini-batch begins by eta = 1 / |z_c| (equations 3 to 5), which is the rule of scikit-learn's
    ``MiniBatchKMeans``. Every latent of every class counts: the last mini-batch of a class
    may be shorter.

    Kept of a class: ``centres`` (k, C, h, w), fp16 on disk; ``images``, how many latents
    were seen; with ``nearest`` also ``sources`` (k,), the positions in the class of the
    images whose latents stand for the centres.

    Args:
        expand: Latents in a mini-batch, in multiples of the number of clusters. The script of
            the released code has 1, its default is 10; the paper does not say.
        nearest: Take the real latent that is nearest to a centre in its place.
        reassignment_ratio: Centres with fewer latents than this share of the largest
            one are now and then put elsewhere. 0 is algorithm 1; the released code has
            scikit-learn's default, 0.01.
        drop_last: Leave the latents out that do not fill the last mini-batch of a class, where
            there is another one. The released code does, for all classes but the last.
        kwargs: See :class:`ClassStatistics`. The released code samples the posterior
            and stretches images; the paper says neither.

    Raises:
        ValueError: If an argument is out of range.
    """

    limits = dict(expand=dict(low=1), reassignment_ratio=dict(low=0))

    def __init__(self, expand: int = 1, nearest: bool = False,
                 reassignment_ratio: float = 0., drop_last: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        check_number('LatentClusters: reassignment_ratio', reassignment_ratio)
        if expand < 1 or reassignment_ratio < 0:
            raise ValueError(f'LatentClusters: expand must be at least 1 and reassignment_ratio '
                             f'at least 0, got {expand} and {reassignment_ratio}')
        self.expand = expand
        self.nearest = nearest
        self.reassignment_ratio = reassignment_ratio
        self.drop_last = drop_last

    def settings(self) -> Dict[str, Any]:
        """See :meth:`ClassStatistics.settings`."""
        own = dict(super().settings(), expand=self.expand, nearest=self.nearest,
                   reassignment_ratio=self.reassignment_ratio)
        return dict(own, drop_last=True) if self.drop_last else own

    def summarize(self, latents: Iterator[np.ndarray], total: int, num: int,
                  seed: int) -> Arrays:
        """See :meth:`ClassStatistics.summarize`; ``num`` is the number of clusters."""
        from sklearn.cluster import MiniBatchKMeans
        seen, size = 0, self.expand * num
        kmeans = MiniBatchKMeans(
            n_clusters=num, random_state=seed % 2**32, n_init='auto',
            batch_size=size, reassignment_ratio=self.reassignment_ratio,
            compute_labels=False)
        with tempfile.TemporaryFile() as file:
            shape: Tuple[int, ...] = ()
            for batch in regroup(latents, size):
                if self.drop_last and seen and len(batch) < size:
                    break
                shape, flat = batch.shape[1:], batch.reshape(len(batch), -1)
                kmeans.partial_fit(flat)
                seen += len(flat)
                if self.nearest:
                    file.write(flat.tobytes())
            found = dict(centres=kmeans.cluster_centers_.reshape(num, *shape),
                         images=np.array(seen))
            if self.nearest:
                file.flush()
                stored = np.memmap(  # type: ignore[call-overload]  # it takes open files too
                    file, np.float32, 'r', shape=(seen, int(np.prod(shape))))
                sources = nearest_rows(kmeans.cluster_centers_, stored, size)
                found.update(sources=sources, centres=stored[sources].reshape(num, *shape))
        return found


def regroup(batches: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Cut a stream of arrays into arrays of ``size`` rows; the last one has what is left."""
    kept: List[np.ndarray] = []
    for batch in batches:
        kept.append(batch)
        while sum(map(len, kept)) >= size:
            rows = np.concatenate(kept)
            yield rows[:size]
            kept = [rows[size:]]
    if sum(map(len, kept)):
        yield np.concatenate(kept)


def nearest_rows(centres: np.ndarray, rows: np.ndarray, chunk: int) -> np.ndarray:
    """For each centre (K, D) the index of the nearest of ``rows`` (N, D); ties go to the first.

    Args:
        centres: The centres.
        rows: Array that may lie on disk.
        chunk: Rows that are read at a time.
    """
    from sklearn.metrics import pairwise_distances_argmin_min
    best = np.full(len(centres), np.inf)
    index = np.zeros(len(centres), np.int64)
    for begin in range(0, len(rows), chunk):
        found, distance = pairwise_distances_argmin_min(
            centres, np.array(rows[begin:begin + chunk]))
        closer = distance < best
        best[closer], index[closer] = distance[closer], begin + found[closer]
    return index
