"""Planning, journal and merge do an amount of work per slot that does not grow with the slots.

Operations are counted, not timed: calls of functions, and of the system for files.
"""
import sys
from collections import Counter

import numpy as np
import pytest
from mmengine.config import Config
from probes.simulated_ranks import SimulatedLoop, simulate_ranks

from mmdd.structures import IPC

FILES = ('open', 'os.rename', 'os.listdir', 'os.scandir', 'os.remove', 'os.mkdir')
COUNTED = None
# Operations per slot may differ by so much between sizes; a term of n^2 doubles them.
TOLERANCE = 1.15


def _audit(event, args):
    if COUNTED is not None and event in FILES:
        COUNTED[event] += 1


sys.addaudithook(_audit)


def counted(phase):
    """A phase that counts its calls and its file operations."""
    method = getattr(SimulatedLoop, phase)

    def run(self):
        global COUNTED
        COUNTED = own = Counter()

        def profile(frame, event, arg):
            if event in ('call', 'c_call'):
                own['calls'] += 1

        sys.setprofile(profile)
        try:
            method(self)
        finally:
            sys.setprofile(None)
            COUNTED = None
        own['listings'] = own.pop('os.listdir', 0) + own.pop('os.scandir', 0)
        self.counts = dict(getattr(self, 'counts', {}), **{phase: own})
    return run


@pytest.fixture(scope='module')
def counts(tmp_path_factory):
    """Counts by (slots, shards) and phase; the classes grow with the slots."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, 'pretty_text', property(lambda self: ''))
        for phase in SimulatedLoop.phases:
            patch.setattr(SimulatedLoop, phase, counted(phase))
        # The first one warms up what is loaded and compiled once.
        for slots, ranks in ((32, 1), (64, 1), (128, 1), (256, 1), (128, 4), (256, 8)):
            loop = simulate_ranks(str(tmp_path_factory.mktemp('job')), slots // 2, 2, ranks)
            found[slots, ranks] = loop.counts
    return found


@pytest.mark.parametrize('phase', SimulatedLoop.phases)
def test_work_is_linear_in_the_slots(counts, phase):
    small, middle, large = (counts[slots, 1][phase] for slots in (64, 128, 256))
    for what in ('calls', 'open', 'os.rename'):
        first, second = middle[what] - small[what], large[what] - middle[what]
        assert second <= 2 * TOLERANCE * first + 8, (what, first, second)
    assert large['listings'] == small['listings']


def test_files_are_opened_a_few_times_for_each_slot(counts):
    one = counts[256, 1]
    # A picture and a record: written, the picture read once for its checksum.
    assert one['journaling']['os.rename'] <= 2.1 * 256 + 64
    assert one['journaling']['open'] <= 10 * 256
    # Record and picture are checked and read, a file of the set written and its checksum made.
    assert one['merging']['os.rename'] <= 256 + 8
    assert one['merging']['open'] <= 10 * 256


def test_shards_together_do_what_one_process_does(counts):
    """Beside the listing of names: each looks at its own attempts alone."""
    for slots, ranks in ((128, 4), (256, 8)):
        one, many = counts[slots, 1], counts[slots, ranks]
        extra = many['journaling']['open'] - one['journaling']['open']
        assert extra <= 16 * ranks
        assert many['merging']['open'] <= one['merging']['open'] + 4 * ranks
        assert many['journaling']['listings'] <= one['journaling']['listings'] + 8 * ranks


def test_groups_of_a_budget_are_those_of_its_classes():
    labels = [np.array([i]) for i in (2, 0, 1, 0, 2, 2, 1, 5)]
    groups = IPC(2).groups(labels, 3, 6)
    assert [(members.tolist(), n) for members, n in groups] == [
        ([1, 3], 2), ([2, 6], 2), ([0, 4, 5], 2)]
