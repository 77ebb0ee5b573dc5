"""Score, filter and relabel by the proxy (UniDD, equation 11)."""
from typing import List

import numpy as np
import torch

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample
from ..proxies import TaskProxy


class BaseRefiner:
    """Judges or changes samples after they are made."""

    def __call__(self, samples: List[DistilledSample], proxy: TaskProxy) -> None:
        """Refine ``samples`` in place."""
        raise NotImplementedError


@TASK_UTILS.register_module()
class ProxyRefiner(BaseRefiner):
    r"""Proxy-driven high-realism refinement (UniDD, section 3.3, equation 11).

    .. math:: \{x, y\} = \{x_i, F_{label}(x_i) \mid score(F(x_i)) \ge \tau\}

    Args:
        threshold: :math:`\tau`; the paper takes 0.9 for classification, 0.85
            for detection and 0.75 for segmentation.
        relabel: Whether the proxy's labels replace those of the slot.

    Raises:
        ValueError: If the threshold is not in [0, 1].
    """

    def __init__(self, threshold: float, relabel: bool = True) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'ProxyRefiner: threshold must be in [0, 1], got {threshold}')
        self.threshold = threshold
        self.relabel = relabel

    def __call__(self, samples: List[DistilledSample], proxy: TaskProxy) -> None:
        """Score ``samples`` in place; one forward of the proxy serves both uses."""
        images = images_to_tensor(samples).to(next(proxy.parameters()).device)
        predictions = proxy.predict(images)
        scores = proxy.score(images, samples, predictions)
        labels = proxy.relabel(images, predictions)
        # Compared in the scores' own precision: 0.9 as fp32 is less than 0.9 as a double.
        passed = (scores >= self.threshold).tolist()
        for sample, score, accepted, label in zip(samples, scores.tolist(), passed, labels):
            sample.score, sample.accepted = score, accepted
            if not self.relabel:
                continue
            if len(label['labels']):
                sample.labels, sample.bboxes = label['labels'], label.get('bboxes')
                sample.mask = label.get('mask')
                sample.label_source = 'proxy'
            else:  # however sure the proxy is that nothing is there
                sample.score, sample.accepted = 0., False


def images_to_tensor(samples: List[DistilledSample]) -> torch.Tensor:
    """Images of samples as (B, 3, H, W) float RGB in [0, 1]."""
    stacked = np.stack([sample.image for sample in samples])
    # One memory layout, wherever the images come from: kernels of others round differently.
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous().float() / 255
