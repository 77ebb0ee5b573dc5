import math

import numpy as np
import pytest

from mmdd.utils.numbers import check_number


@pytest.mark.parametrize('value', [0, 0.5, 1, np.float32(0.25), np.int64(1)])
def test_numbers_of_the_range_pass(value):
    assert check_number('A: b', value, low=0, high=1) is value


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 'abc', '1', None, True, [1]])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match=r'^A: b must be a finite number, got '):
        check_number('A: b', value)


@pytest.mark.parametrize('bounds, message', [
    (dict(low=0, high=1), 'a finite number, at least 0 and at most 1, got 2'),
    (dict(low=3), 'a finite number, at least 3, got 2'),
    (dict(above=2), 'a finite number, above 2, got 2'),
    (dict(above=2, integer=True), 'a whole number, above 2, got 2')])
def test_the_message_says_the_range(bounds, message):
    with pytest.raises(ValueError) as error:
        check_number('A: b', 2, **bounds)
    assert str(error.value) == f'A: b must be {message}'


def test_whole_numbers():
    assert check_number('A: n', np.int32(5), low=1, integer=True) == 5
    for value in (1.5, 2., True):
        with pytest.raises(ValueError, match='a whole number, at least 1'):
            check_number('A: n', value, low=1, integer=True)
