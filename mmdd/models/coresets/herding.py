"""Selection of points whose mean follows the mean of all."""
from typing import Any, List, Mapping, Sequence

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.utils.progress import Progress
from .base import CoresetBaseline
from .grid import PRODUCT_BITS, grid_mean, to_grid


@MODELS.register_module()
class HerdingCoreset(CoresetBaseline):
    r"""Herding: each image brings the mean of the chosen nearest to the full mean.

    Algorithm 4 of `iCaRL: Incremental Classifier and Representation Learning`
    (Rebuffi et al., CVPR 2017), after Welling (ICML 2009); no image twice:

    .. math:: p_k = \arg\min_x \| \mu - \frac{1}{k} (\phi(x) +
        \sum_{j=1}^{k-1} \phi(p_j)) \|

    The distance to the mean falls like 1/k, that of a random choice like
    the square root of that. Products are exact on a grid (:func:`to_grid`); the
    lowest index wins a tie.

    Args:
        normalize: Scale features to L2 norm 1 first, as iCaRL does.
    """

    uses_features = True

    def __init__(self, normalize: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Never: the rule has no random part."""
        return False

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return ``budget`` indices in the order of choice."""
        return herd(features, budget, self.normalize)


def herd(features, num: int, normalize: bool = True) -> List[int]:
    """Herding, one product of a matrix and a vector per choice.

    With S the sum of those chosen before, the rule is the least
    ``|x|^2 + 2 x.S - 2 k x.mu``; what it adds up are whole numbers below 2**63.

    Args:
        features: (N, D).
        num: How many to choose, at most N.
        normalize: Scale rows to L2 norm 1 first.
    """
    bits = min(PRODUCT_BITS, 60 - int(num).bit_length())
    values = to_grid(features, normalize, bits)
    squares = np.einsum('nd,nd->n', values, values).astype(np.int64)
    mean = (values @ grid_mean(values)).astype(np.int64)
    done = np.zeros(len(values), np.int64)
    free = np.ones(len(values), bool)
    progress = Progress('herding', num)
    chosen: List[int] = []
    for k in range(1, num + 1):
        costs = squares + 2 * (done - k * mean)
        costs[~free] = np.iinfo(np.int64).max
        chosen.append(int(costs.argmin()))
        free[chosen[-1]] = False
        done += (values @ values[chosen[-1]]).astype(np.int64)
        progress.add()
    return chosen
