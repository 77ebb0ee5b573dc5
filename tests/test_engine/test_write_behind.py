"""Attempts are written beside the sampling of the next ones."""
import threading
from types import SimpleNamespace

import pytest

from mmdd.engine.write_behind import WriteBehind


class SlowJournal:
    """Writes when it is told to."""

    def __init__(self):
        self.go, self.written, self.error = threading.Event(), [], None

    def __contains__(self, key):
        return key in self.written

    def write(self, sample):
        assert self.go.wait(20)
        if self.error:
            raise self.error
        self.written.append((sample.slot.id, sample.slot.round))


def samples(*ids):
    return [SimpleNamespace(slot=SimpleNamespace(id=i, round=0)) for i in ids]


def test_the_next_batch_begins_while_one_is_written():
    journal = SlowJournal()
    behind = WriteBehind(journal)
    behind.write(samples(0, 1))
    assert not journal.written  # and this thread goes on
    journal.go.set()
    behind.write(samples(2, 1))
    assert journal.written[:2] == [(0, 0), (1, 0)]
    behind.finish()
    behind.finish()
    assert journal.written == [(0, 0), (1, 0), (2, 0)]  # what is there is left


def test_what_was_begun_is_written_whatever_ends_the_batches():
    journal = SlowJournal()
    threading.Timer(0.1, journal.go.set).start()
    with pytest.raises(KeyboardInterrupt), WriteBehind(journal) as behind:
        behind.write(samples(0))
        raise KeyboardInterrupt
    assert journal.written == [(0, 0)]


@pytest.mark.parametrize('then', ['write', 'finish'])
def test_a_full_disk_is_told_by_the_next_step_and_once(then):
    journal = SlowJournal()
    journal.error = OSError(28, 'No space left on device')
    journal.go.set()
    behind = WriteBehind(journal)
    behind.write(samples(0))
    with pytest.raises(OSError, match='No space left'):
        behind.write(samples(1)) if then == 'write' else behind.finish()
    journal.error = None
    behind.finish()
    assert not journal.written
