"""Stages of a job: seconds and denoiser evaluations, each counted once."""
import pytest

from mmdd.utils import stage_clock
from mmdd.utils.stage_clock import StageClock


@pytest.fixture
def ticks(monkeypatch):
    """Time and passes that stand still until a test moves them."""
    state = dict(now=100., passes=0)
    monkeypatch.setattr(stage_clock.time, 'perf_counter', lambda: state['now'])

    def move(seconds, passes=0):
        state['now'] += seconds
        state['passes'] += passes
    move.clock = StageClock(lambda: state['passes'])
    return move


def cost(kind, seconds, passes):
    return dict(kind=kind, seconds=seconds, denoiser_passes=passes)


def test_a_stage_inside_another_counts_once(ticks):
    clock = ticks.clock
    ticks(50., 7)  # nothing is open
    with clock.timed('prepare', deploy=True):
        ticks(1., 1)
        with clock.timed('score'):
            ticks(10., 20)
            with clock.timed('sort', deploy=False):
                ticks(100.)
        ticks(2.)
        with clock.timed('score'):
            ticks(4., 5)
    with clock.timed('synthesize'):
        ticks(8.)
    ticks(1000., 1000)
    assert clock.report() == {
        'prepare': cost('deploy', 3., 1), 'score': cost('deploy', 14., 25),
        'sort': cost('distill', 100., 0), 'synthesize': cost('distill', 8., 0)}


def test_an_open_stage_is_reported_as_far_as_it_is(ticks):
    with ticks.clock.timed('synthesize'):
        ticks(3., 2)
        assert ticks.clock.report()['synthesize'] == cost('distill', 3., 2)
        ticks(4.)
    assert ticks.clock.report()['synthesize'] == cost('distill', 7., 2)


def test_a_stage_that_fails_ends(ticks):
    with pytest.raises(KeyError):
        with ticks.clock.timed('score'):
            ticks(1.)
            raise KeyError('x')
    ticks(5.)
    assert ticks.clock.report() == {'score': cost('distill', 1., 0)}
