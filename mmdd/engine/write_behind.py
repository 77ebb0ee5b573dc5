"""Attempts are written while the next ones are sampled."""
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Optional, Sequence

from mmdd.structures import DistilledSample
from .journal import Journal


class WriteBehind:
    """Writes attempts to a journal on a thread of its own, a batch at a time, in their order.

    As a context it waits at its end until all is written.

    Coding an image of 512 pixels takes some hundredths of a second, in which the GPU would wait:
    as long as one step of a distilled prior. Whoever ends meanwhile waits for the batch that is
    being written; one that is killed makes it again.

    Args:
        journal: Where they go.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='journal')
        self._last: Optional[Future] = None

    def __enter__(self) -> 'WriteBehind':
        return self

    def __exit__(self, *error: Any) -> None:
        self.finish()

    def write(self, samples: Sequence[DistilledSample]) -> None:
        """Begin to write attempts, once those of the batch before are written.

        Args:
            samples: Not to be changed from here on. What is in the journal already is left.

        Raises:
            OSError: If the batch before could not be written.
        """
        self.finish()
        self._last = self._thread.submit(self._write, samples)

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            OSError: If it could not be written.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def _write(self, samples: Sequence[DistilledSample]) -> None:
        for sample in samples:
            if (sample.slot.id, sample.slot.round) not in self.journal:
                self.journal.write(sample)
