"""What a diffusion drew, as pictures."""
from typing import Dict, List, Sequence

import numpy as np
from torch import Tensor

from mmdd.utils.finite import NOT_FINITE, UNGUIDED, finite_rows, image_fault


def to_uint8(images: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] to (B, H, W, 3) uint8; NaN becomes black."""
    levels = images.float().nan_to_num(0.).clamp(0, 1) * 255
    return levels.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def drawing_faults(images: Tensor, pictures: np.ndarray,
                   stats: Sequence[Dict[str, float]]) -> List[str]:
    """Why each of B images that a diffusion drew fails; '' where it does not.

    Args:
        images: (B, 3, H, W) as they come from the diffusion.
        pictures: (B, H, W, 3) uint8, the same.
        stats: Their counters, see :meth:`BaseDiffusion.sample`.
    """
    return [NOT_FINITE if not finite else UNGUIDED if stat.get('unguided') else
            image_fault(picture)
            for finite, picture, stat in zip(finite_rows(images).tolist(), pictures, stats)]
