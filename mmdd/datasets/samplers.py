"""The order in which the real set is read."""
from typing import Iterator, Optional, Sized

from torch.utils.data import Sampler

from mmdd.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class WholeSetSampler(Sampler):
    """Every image once, in the order of the dataset, on every rank.

    Statistics of the real set must not depend on the number of ranks.
    """

    def __init__(self, dataset: Sized, seed: Optional[int] = None) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.dataset)))

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order is always the same."""
