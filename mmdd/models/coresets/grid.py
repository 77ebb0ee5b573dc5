"""Features on a grid so coarse that float64 adds up their products without rounding."""
from typing import Union

import numpy as np
from torch import Tensor

# Squared norms stay below 2**51: four of them fit into the 53 bits of a float64.
PRODUCT_BITS = 51


def to_grid(features: Union[Tensor, np.ndarray],
            normalize: bool = False,
            product_bits: int = PRODUCT_BITS) -> np.ndarray:
    """Round features to whole multiples of one power of two.

    Products of such vectors are whole numbers that float64 holds exactly. So
    distances do not depend on the order of summation, on blocks or on the
    number of threads, equal images are equally far from everything, and ties
    are ties. The grid is 2**-25 of the longest vector: finer than what
    convolutions round to in fp32.

    Args:
        features: (N, D) finite numbers.
        normalize: Scale each row to L2 norm 1 first; rows of zeros stay.
        product_bits: Squared norms stay below ``2**product_bits``.

    Returns:
        ndarray: (N, D) float64 whole numbers.

    Raises:
        ValueError: If a feature is not finite.
    """
    values = np.array(np.asarray(features), np.float64)
    norms = np.sqrt(np.einsum('nd,nd->n', values, values))
    longest = norms.max(initial=0.)
    if not np.isfinite(longest):
        raise ValueError('features hold NaN or infinity: check the weights of model.proxy')
    if normalize:
        values /= np.where(norms > 0, norms, 1)[:, None]
        longest = 1.
    values *= 2.**(product_bits // 2 - int(np.frexp(longest)[1]))
    return np.rint(values, out=values)


def grid_mean(values: np.ndarray) -> np.ndarray:
    """Mean of :func:`to_grid` features, rounded to the same grid, (D,)."""
    return np.rint(values.sum(0) / len(values))
