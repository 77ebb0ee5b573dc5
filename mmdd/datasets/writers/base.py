"""The interface of writers."""
from typing import List, Sequence

from mmdd.structures import DistilledSample


class BaseWriter:
    """Writes samples in a standard dataset format.

    Writing is idempotent: the same samples give the same files, so an
    interrupted writer is simply run again.

    Args:
        split: Name of the split that the images form.
    """

    def __init__(self, split: str = 'train') -> None:
        self.split = split

    def name(self, sample: DistilledSample) -> str:
        """File name of a sample without suffix."""
        return f'{sample.slot.id:06d}'

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write one sample and return its files relative to ``out_dir``, image first."""
        raise NotImplementedError

    def close(self, samples: Sequence[DistilledSample], out_dir: str) -> List[str]:
        """Write what belongs to the whole set; returns files like :meth:`write`."""
        raise NotImplementedError
