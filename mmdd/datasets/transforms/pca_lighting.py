"""Lighting noise along the principal colours of ImageNet."""
from typing import Any, Dict, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmdd.registry import TRANSFORMS

# Principal components of the RGB colours of ImageNet, for values in [0, 255].
# Rows of the vectors are R, G, B.
EIGENVALUES = np.array([55.4625, 4.7940, 1.1475])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009],
                         [-0.5808, -0.0045, -0.8140],
                         [-0.5836, -0.6948, 0.4203]])


@TRANSFORMS.register_module()
class PCALighting(BaseTransform):
    """Add one random colour to the whole image (AlexNet's lighting noise).

    The image becomes float32 and is not clipped, because normalisation follows.
    The stock ``Lighting`` casts back to uint8, where values below 0 and above 255 wrap
    around.

    Args:
        std: Standard deviation of the weight of each component.
        bgr: Whether images are BGR, as mmcv loads them.
    """

    def __init__(self, std: float = 0.1, bgr: bool = True) -> None:
        self.std = std
        self.bgr = bgr

    @cache_randomness
    def weights(self) -> Tuple[float, ...]:
        """One weight a component."""
        return tuple(np.random.normal(0, self.std, 3))

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Shift the colours of ``results['img']``, (H, W, 3) in [0, 255]."""
        shift = EIGENVECTORS @ (EIGENVALUES * np.array(self.weights()))
        if self.bgr:
            shift = shift[::-1]
        results['img'] = results['img'].astype(np.float32) + shift.astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(std={self.std}, bgr={self.bgr})'
