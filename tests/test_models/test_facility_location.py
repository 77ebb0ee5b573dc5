"""Facility location: greedy by brute force, the bound of greedy choice, and ties."""
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdd.models.coresets import facility_location as module
from mmdd.models.coresets import grid
from mmdd.models.coresets.facility_location import facility_location
from mmdd.models.coresets.grid import Grid


def distances_of(values):
    rows = Grid(values)[:]
    return np.sqrt(np.square(rows[:, None] - rows[None]).sum(-1))


def brute_force(values, num):
    """Greedy, with all gains anew at every step."""
    distances = distances_of(values)
    nearest = np.full(len(values), 2 * np.sqrt(Grid(values).squares.max()))
    chosen = []
    for _ in range(num):
        gains = np.maximum(nearest - distances, 0).sum(1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return chosen


def value(distances, chosen):
    return (distances.max() - distances[:, list(chosen)]).max(1).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([1, 2, 5]))
def test_lazy_choice_is_greedy_choice(seed, num, batch):
    values = np.random.default_rng(seed).standard_normal((30, 4)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'BATCH', batch)
        patch.setattr(grid, 'BLOCK', 4 * 4 * batch)
        assert facility_location(values, num) == brute_force(values, num)


def test_copies_and_ties():
    """Whole distances, so that gains are equal to the last bit."""
    values = np.array([[0.], [4.], [0.], [4.], [8.], [8.]], np.float32)
    assert facility_location(values, 6) == [1, 0, 4, 2, 3, 5]
    assert facility_location(np.zeros((5, 3), np.float32), 5) == [0, 1, 2, 3, 4]


def test_the_first_is_the_medoid():
    values = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    assert facility_location(values, 1) == [int(distances_of(values).sum(1).argmin())]


@pytest.mark.parametrize('seed', range(5))
def test_greedy_choice_reaches_its_bound(seed):
    values = np.random.default_rng(seed).standard_normal((12, 2)).astype(np.float32)
    distances = distances_of(values)
    best = max(value(distances, own) for own in itertools.combinations(range(12), 4))
    assert value(distances, facility_location(values, 4)) >= (1 - 1 / math.e) * best
