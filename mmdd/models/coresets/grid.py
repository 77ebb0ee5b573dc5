"""Features on a grid so coarse that float64 adds up their products without rounding."""
from typing import Iterator, Union

import numpy as np
from torch import Tensor

# Squared norms stay below 2**51: four of them fit into the 53 bits of a float64.
PRODUCT_BITS = 51
# Numbers of a block of rows: 32 MiB in float64.
BLOCK = 2**22


class Grid:
    """Features as whole multiples of one power of two, made block by block.

    Products of such vectors are whole numbers that float64 holds exactly. So
    distances do not depend on the order of summation, on blocks or on the
    number of threads, equal images are equally far from everything, and ties
    are ties. The grid is 2**-25 of the longest vector: finer than what
    convolutions round to in fp32.

    Of features on disk (``np.load(..., mmap_mode='r')``) no more than a block is in
    float64 at a time; only a set of one block is kept.

    Args:
        features: (N, D) finite numbers in fp16, fp32 or fp64.
        normalize: Scale each row to L2 norm 1 first; rows of zeros stay.
        product_bits: Squared norms stay below ``2**product_bits``.

    Attributes:
        squares: Squared norms on the grid, (N,) float64 whole numbers.
        mean: Mean of the rows, rounded to the grid, (D,).

    Raises:
        ValueError: If a feature is not finite.
    """

    def __init__(self,
                 features: Union[Tensor, np.ndarray],
                 normalize: bool = False,
                 product_bits: int = PRODUCT_BITS) -> None:
        self.features = np.asarray(features)
        self.step = max(1, BLOCK // max(1, self.features.shape[1]))
        norms = np.empty(len(self))
        for own in self.blocks():
            values = np.asarray(self.features[own], np.float64)
            norms[own] = np.sqrt(np.einsum('nd,nd->n', values, values))
        self._divisors = np.where(norms > 0, norms, 1) if normalize else None
        longest = norms.max(initial=0.)
        if not np.isfinite(longest):
            raise ValueError('features hold NaN or infinity: check the weights of model.proxy')
        exponent = int(np.frexp(1. if normalize else longest)[1])
        self.scale = 2.**(product_bits // 2 - exponent)
        self._whole = self._rounded(slice(None)) if len(self) <= self.step else None
        self.squares = np.empty(len(self))
        total = np.zeros(self.features.shape[1])
        for own in self.blocks():
            values = self[own]
            self.squares[own] = np.einsum('nd,nd->n', values, values)
            total += values.sum(0)
        self.mean = np.rint(total / len(self)) if len(self) else total

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows) -> np.ndarray:
        """Rows by a slice or an array of indices, (n, D) float64 whole numbers."""
        return self._rounded(rows) if self._whole is None else self._whole[rows]

    def blocks(self) -> Iterator[slice]:
        """All rows in slices of at most ``step``."""
        return (slice(i, i + self.step) for i in range(0, len(self), self.step))

    def dot(self, vector: np.ndarray) -> np.ndarray:
        """Products of all rows with a vector (D,) on the grid, (N,)."""
        products = np.empty(len(self))
        for own in self.blocks():
            products[own] = self[own] @ vector
        return products

    def _rounded(self, rows) -> np.ndarray:
        values = np.array(self.features[rows], np.float64)
        if self._divisors is not None:
            values /= self._divisors[rows, None]
        values *= self.scale
        return np.rint(values, out=values)
