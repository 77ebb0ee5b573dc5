"""Finished attempts of a job as a sequence."""
from typing import Sequence, Union, overload

import numpy as np

from mmdd.structures import DistilledSample, DistillSlot, SampleSequence
from mmdd.utils.photograph import read_array
from .journal import Journal


class StoredSamples(SampleSequence):
    """Finished attempts as samples that are read when they are asked for.

    Items have no image; :meth:`image` reads one.

    Args:
        journal: Where they are kept.
        slots: Their slots, seeded for the round that counts.
    """

    def __init__(self, journal: Journal, slots: Sequence[DistillSlot]) -> None:
        self.journal = journal
        self.slots = list(slots)

    def __len__(self) -> int:
        return len(self.slots)

    @overload
    def __getitem__(self, index: int) -> DistilledSample:
        ...

    @overload
    def __getitem__(self, index: slice) -> 'StoredSamples':
        ...

    def __getitem__(self, index: Union[int, slice]) -> Union[DistilledSample, 'StoredSamples']:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        slot = self.slots[index]
        return self.journal.load_sample(slot, (slot.id, slot.round), image=False)

    def image(self, index: int) -> np.ndarray:
        """The image of a sample, (H, W, 3) uint8 RGB."""
        slot = self.slots[index]
        path = self[index].path
        if path:
            return read_array(path)
        return self.journal.read_image((slot.id, slot.round))

    def subset(self, indices: Sequence[int]) -> 'StoredSamples':
        """The samples at these indices."""
        return StoredSamples(self.journal, [self.slots[i] for i in indices])
