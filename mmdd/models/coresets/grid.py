"""Features on a grid so coarse that float64 adds up their products without rounding."""
from typing import Callable, Iterator, Optional, Tuple, Union

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
        self._whole: Optional[np.ndarray] = None
        self.step = max(1, BLOCK // max(1, self.features.shape[1]))
        norms = np.sqrt(np.concatenate([np.zeros(0)] + [
            np.einsum('nd,nd->n', values, values) for _, values in self._each(
                lambda out, rows: np.copyto(out, self.features[rows]))]))
        longest = norms.max(initial=0.)
        if not np.isfinite(longest):
            raise ValueError('features hold NaN or infinity: check the weights of model.proxy')
        self._divisors = np.where(norms > 0, norms, 1)[:, None] if normalize else None
        exponent = int(np.frexp(1. if normalize else longest)[1])
        self.scale = 2.**(product_bits // 2 - exponent)
        self._whole = self[:] if len(self) <= self.step else None
        self.squares = np.empty(len(self))
        total = np.zeros(self.features.shape[1])
        for own, values in self.blocks():
            self.squares[own] = np.einsum('nd,nd->n', values, values)
            total += values.sum(0)
        self.mean = np.rint(total / len(self)) if len(self) else total

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows) -> np.ndarray:
        """Rows by a slice or an array of indices, (n, D) float64 whole numbers."""
        return self.read(rows) if self._whole is None else self._whole[rows]

    def read(self, rows, out: Optional[np.ndarray] = None) -> np.ndarray:
        """As by index, into memory that is there: to ask for it takes longer than to fill it."""
        found = self.features[rows]
        out = np.empty(found.shape) if out is None else out
        np.copyto(out, found)
        if self._divisors is not None:
            out /= self._divisors[rows]
        out *= self.scale
        return np.rint(out, out=out)

    def blocks(self) -> Iterator[Tuple[slice, np.ndarray]]:
        """Places and values of all rows, block by block; a block's values last until the next."""
        if self._whole is not None:
            return iter([(slice(0, len(self)), self._whole)])
        return self._each(lambda out, rows: self.read(rows, out))

    def _each(self, fill: Callable) -> Iterator[Tuple[slice, np.ndarray]]:
        room = np.empty((min(self.step, len(self)), self.features.shape[1]))
        for begin in range(0, len(self), self.step):
            own = slice(begin, min(begin + self.step, len(self)))
            values = room[:own.stop - begin]
            fill(values, own)
            yield own, values

    def dot(self, vector: np.ndarray) -> np.ndarray:
        """Products of all rows with a vector (D,) on the grid, (N,)."""
        products = np.empty(len(self))
        for own, values in self.blocks():
            products[own] = values @ vector
        return products


def product_error(length: int) -> float:
    """Largest error of a product of vectors in fp32, relative to that of their norms.

    It holds for vectors on the grid that are rounded to fp32 first, for any order of
    summation, and has room for a few more operations on the product.

    Args:
        length: Numbers of a vector.
    """
    part = (length + 8) * 2.**-24
    return part / (1 - part)
