"""Colours that say nothing about the class."""
from typing import Any, Dict, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmdd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomChannels(BaseTransform):
    """Shuffle the channels of an image and invert each at random.

    An image gets one of 48 colourings (6 orders, 8 inversions) that keep its edges. For sets so
    small that a network knows their images by colour, where colour does not matter.

    Args:
        invert: Probability that a channel is inverted, each on its own.

    Raises:
        ValueError: If ``invert`` is no probability.
    """

    limits = dict(invert=dict(low=0, high=1))

    def __init__(self, invert: float = 0.5) -> None:
        if not 0 <= invert <= 1:
            raise ValueError(f'RandomChannels: invert must be in [0, 1], got {invert}')
        self.invert = invert

    @cache_randomness
    def draw(self, channels: int) -> Tuple[np.ndarray, np.ndarray]:
        """Order of the channels, and which of them are inverted, (channels,) each."""
        return np.random.permutation(channels), np.random.rand(channels) < self.invert

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Recolour ``results['img']``, (H, W, C), uint8."""
        order, inverted = self.draw(results['img'].shape[2])
        image = results['img'][..., order]
        image[..., inverted] = 255 - image[..., inverted]
        results['img'] = image
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(invert={self.invert})'
