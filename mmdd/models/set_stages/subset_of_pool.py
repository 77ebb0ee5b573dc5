"""A part of the images that are made, whatever is on them."""
from fractions import Fraction
from typing import Any, Sequence, Union

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import SampleSequence
from mmdd.utils.seed import derive_seed
from .base import SetStage


@TASK_UTILS.register_module()
class SubsetOfPool(SetStage):
    """Draws the images of each group from more than are kept.

    The released code of Minimax makes 100 images of a class and draws those of a budget from
    them at random: ``pool=10`` at 10 images per class, 2 at 50. Others take the first ones.
    No network looks at the images.

    Args:
        pool: Samples for each image that is kept; a text like ``'10/7'`` where that is no
            whole number.
        take: 'random', by the seed of the job and the group, or 'first', in the order of the
            plan.

    Raises:
        ValueError: If an argument is out of range.
    """

    limits = dict(take=('random', 'first'))

    def __init__(self, pool: Union[int, str] = 10, take: str = 'random') -> None:
        try:
            self.slots_per_image = Fraction(pool)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f'SubsetOfPool: pool must be a whole number or a text like '
                             f"'10/7', got {pool!r}") from None
        if self.slots_per_image < 1:
            raise ValueError(f'SubsetOfPool: pool must be at least 1, got {pool}')
        if take not in self.limits['take']:
            raise ValueError(f"SubsetOfPool: take must be 'random' or 'first', got {take!r}")
        self.take = take

    def choose(self, samples: SampleSequence, num: int, distiller: Any) -> Sequence[int]:
        """Indices of the ``num`` samples of one group that are kept, see :class:`SetStage`."""
        if self.take == 'first' or not len(samples):
            return range(num)
        seed = derive_seed('subset of a pool', distiller.seed, samples[0].slot.group)
        return np.random.default_rng(seed).permutation(len(samples))[:num].tolist()
