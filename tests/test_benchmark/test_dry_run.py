"""How long the rest of a benchmark may take."""
import pytest

from mmdd.benchmark.dry_run import Work, describe_time, expected_seconds


def test_sets_that_are_left_take_their_own_time():
    """Two seconds per unit of length; what copies images takes five, however long others are."""
    took = [(50., 100.), (10., 20.), (0., 4.), (0., 6.)]
    assert expected_seconds(took, [20., 0., 0.], None) == pytest.approx((40 + 5 + 5) / 3)
    # long sets are made first: their mean is not that of the coresets that are left
    assert expected_seconds(took[:2], [0., 0.], 7.) == 7.
    assert expected_seconds(took[:2], [0., 0.], None) == 60.
    assert expected_seconds(took[2:], [10.], 30.) == 30.
    assert expected_seconds([], [10.], 30.) is None
    assert expected_seconds(took, [], 30.) is None


def test_the_time_of_what_is_left():
    sets = Work(4, 2, [100., 20.], expected_seconds([(50., 100.), (10., 20.)], [5., 5.], 90.))
    line, minutes = describe_time(sets, Work(6, 0), dict(student=30.), jobs=0)
    assert line == ('2 sets of 10 s, 1 at once and 6 students of 30 s, 1 at once: about 3 min')
    assert minutes == pytest.approx(200 / 60)
    line, minutes = describe_time(Work(2, 0), Work(6, 3, [10., 20., 30.]), {}, jobs=0)
    assert minutes is None and 'no estimate' in line
