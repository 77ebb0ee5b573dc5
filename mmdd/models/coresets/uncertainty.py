"""Selection by the uncertainty of predictions."""
from typing import Any, Callable, Dict, Sequence

import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from ..proxies import ClassifierProxy, DetectorProxy, SegmentorProxy
from .score import ScoreCoreset


def least_confidence(probabilities: Tensor) -> Tensor:
    """1 - p of the most probable class, (n,) of (K, n)."""
    return 1 - probabilities.amax(0)


def margin(probabilities: Tensor) -> Tensor:
    """1 - p of the most probable class + p of the second, (n,) of (K, n)."""
    first, second = probabilities.topk(2, 0).values
    return 1 - first + second


def entropy(probabilities: Tensor) -> Tensor:
    """- sum of p log p in nats, (n,) of (K, n)."""
    return torch.special.entr(probabilities).sum(0)


MEASURES: Dict[str, Callable[[Tensor], Tensor]] = dict(
    least_confidence=least_confidence, margin=margin, entropy=entropy)
POOLS: Dict[str, Callable[[Tensor], Tensor]] = dict(
    mean=torch.mean, sum=torch.sum, max=torch.amax)


@MODELS.register_module()
class UncertaintyCoreset(ScoreCoreset):
    """The images that the proxy is least sure of, for all three tasks.

    The measures are those of `Selection via Proxy: Efficient Data Selection for Deep Learning
    <https://arxiv.org/abs/1906.11829>`_ (Coleman et al., ICLR 2020) after Settles' survey of
    active learning. A classifier predicts one distribution an image, a segmentor one a pixel.
    A detector gives each box one score, read as the probability that the box is right: two
    classes; an image without boxes has the uncertainty 0. ``pool_by`` brings pixels or boxes
    together, as in `Active Learning for Deep Object Detection
    <https://arxiv.org/abs/1809.09875>`_ (Brust et al., 2018).

    Args:
        measure: 'entropy', 'margin' (between the two most probable classes) or
            'least_confidence'.
        pool_by: 'mean', 'sum' or 'max' over the pixels or boxes of an image.
        snapshots, keep: See :class:`ScoreCoreset`.

    Raises:
        ValueError: If ``measure`` or ``pool_by`` is another word.
    """

    proxy_kinds = (ClassifierProxy, DetectorProxy, SegmentorProxy)
    limits = dict(measure=tuple(MEASURES), pool_by=tuple(POOLS))

    def __init__(self, measure: str = 'entropy', pool_by: str = 'mean', **kwargs) -> None:
        for name, value, known in (('measure', measure, MEASURES), ('pool_by', pool_by, POOLS)):
            if value not in known:
                raise ValueError(f'UncertaintyCoreset: {name} must be one of {", ".join(known)}, '
                                 f'got {value!r}')
        super().__init__(**kwargs)
        self.measure = measure
        self.pool_by = pool_by

    def describe(self, network, images: Tensor,
                 annotations: Sequence[RealAnnotation]) -> Tensor:
        """The uncertainty of each image, (B, 1); NaN where a detector overflows."""
        return torch.stack([self.uncertainty(found) for found in network.predict(images)])[:, None]

    def uncertainty(self, found: Any) -> Tensor:
        """One number of a proxy's prediction for an image, 0 where it predicts nothing."""
        if not getattr(found, 'finite', True):
            return torch.tensor(float('nan'))
        values = MEASURES[self.measure](distributions(found))
        return POOLS[self.pool_by](values) if len(values) else torch.zeros(())


def distributions(found: Any) -> Tensor:
    """What a proxy predicts for an image as n distributions over K classes, (K, n).

    Args:
        found: Probabilities (K,) or (K, H, W), or detections with ``scores`` (n,).
    """
    if isinstance(found, Tensor):
        return found.float().flatten(1) if found.ndim > 1 else found.float()[:, None]
    return torch.stack([found.scores, 1 - found.scores])
