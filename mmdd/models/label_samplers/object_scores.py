"""How sure a proxy is of the objects of a real set."""
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import Canvas, RealAnnotation, RealObject
from mmdd.utils.components import class_of
from ..proxies import TaskProxy
from ..proxies.feature_pass import AnnotationPass
from .layouts import usable_annotations
from .objects import ObjectPool, whole_pixels

# Scores by (image id, path), in the order of the objects of an image in an ObjectPool.
ScoreTable = Dict[Tuple[str, str], np.ndarray]


def check_scores_objects(where: str, model: Mapping[str, Any]) -> None:
    """Check, before a job begins, that the proxy of its model says how sure it is of objects.

    Args:
        where: The setting that needs it.
        model: Config of the distiller.

    Raises:
        ValueError: If there is none, or one that does not.
    """
    kind: Any = class_of(MODELS, model.get('proxy'))
    if kind is None:
        raise ValueError(f'{where} reads the objects with the proxy: give model.proxy, or '
                         f'remove it')
    if getattr(kind, 'object_scores', None) in (None, TaskProxy.object_scores):
        raise ValueError(f'{where} reads the objects with the proxy, and a '
                         f'{getattr(kind, "__name__", kind)} does not score objects; take a '
                         f'DetectorProxy or SegmentorProxy, or remove it')


class ObjectReader:
    """Reads how sure a proxy is of each object, batch by batch.

    Args:
        annotations: Labels of the usable real images.
        num_classes: Number of classes of the real set.
        canvas: Images are stretched to its size.
    """

    def __init__(self, annotations: Sequence[RealAnnotation], num_classes: int,
                 canvas: Canvas) -> None:
        self.pool = ObjectPool(annotations, num_classes, canvas)
        order = np.bincount(self.pool.image, minlength=len(self.pool.annotations))
        begins = np.cumsum(order) - order
        self.ranges = {(a.image_id, a.path): range(begin, begin + num) for a, begin, num in zip(
            self.pool.annotations, begins.tolist(), order.tolist())}
        self.width = int(order.max())

    def describe(self, proxy: Any, images: Tensor,
                 annotations: Sequence[RealAnnotation]) -> Tensor:
        """Scores of the objects of B images, (B, most objects of an image); 0 beyond them."""
        objects = [[self.object(i) for i in self.ranges[a.image_id, a.path]]
                   for a in annotations]
        rows = torch.zeros(len(annotations), self.width)
        for row, scores in zip(rows, proxy.object_scores(images, objects)):
            row[:len(scores)] = torch.as_tensor(scores, dtype=torch.float32)
        return rows

    def object(self, index: int) -> RealObject:
        """An object of the pool, in pixels of the canvas."""
        annotation = self.pool.annotations[self.pool.image[index]]
        inside = None
        if {'mask', 'masks'} & set(annotation.target.parts):
            x1, y1, x2, y2 = whole_pixels(self.pool.boxes[index])
            inside = np.zeros(self.pool.canvas.size, bool)
            inside[y1:y2, x1:x2] = self.pool.patch(index).inside
        return RealObject(int(self.pool.labels[index]), self.pool.boxes[index], inside)

    def table(self, rows: Tensor) -> ScoreTable:
        """The scores of each image, without what is beyond its objects."""
        return {(a.image_id, a.path): row[:len(self.ranges[a.image_id, a.path])]
                for a, row in zip(self.pool.annotations, rows.numpy())}


def score_objects(distiller: Any, folder: Optional[str]) -> Optional[ScoreTable]:
    """Let the proxy of a distiller score the objects of its real set; the ranks share the work.

    Args:
        distiller: With ``proxy``, ``annotations``, ``classes`` and ``canvas``.
        folder: Where a resumed job finds finished blocks again; None keeps nothing.

    Returns:
        dict: Scores; None on other ranks than the first, if they share the work.
    """
    usable, _ = usable_annotations(distiller.annotations, distiller.canvas)
    reader = ObjectReader(usable, len(distiller.classes), distiller.canvas)
    rows = AnnotationPass(
        reader.describe, distiller.proxy, reader.pool.annotations, distiller.image_size,
        distiller.read_batch, folder and f'{folder}/objects',
        name='objects of the real set').run()
    return None if rows is None else reader.table(rows)


def surest(labels: np.ndarray, scores: np.ndarray, share: float) -> np.ndarray:
    """The objects of each class that have the largest scores, at least one.

    Args:
        labels: (N,) class indices.
        scores: (N,) any numbers; the first of equal ones comes first.
        share: Share of the objects of a class, in (0, 1].

    Returns:
        ndarray: (N,) bool.
    """
    keep = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.argsort(-scores[members], kind='stable')]
        keep[order[:int(np.ceil(share * len(members) - 1e-9))]] = True
    return keep


def pool_scores(table: ScoreTable, pool: ObjectPool) -> np.ndarray:
    """Scores (N,) of the objects of a pool of these images."""
    found: List[np.ndarray] = [table[a.image_id, a.path] for a in pool.annotations]
    return np.concatenate(found)
