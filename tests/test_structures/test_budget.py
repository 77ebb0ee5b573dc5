"""Budgets give the numbers that the papers print."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdd.registry import TASK_UTILS
from mmdd.structures import IPC, Ratio, Total


@pytest.mark.parametrize('num_images, percent, expected', [
    (16551, .5, 83), (16551, 1, 166), (16551, 2, 331),  # VOC 07+12
    (5011, .5, 25), (5011, 1, 50), (5011, 2, 100),  # VOC 07
    (118287, .25, 296), (118287, .5, 591), (118287, 1, 1183),  # COCO
    (10, 15, 2), (10, 100, 10)])
def test_ratio(num_images, percent, expected):
    assert Ratio(percent).resolve(num_images, 20) == expected


def test_ipc_and_total():
    assert IPC(10).resolve(9469, 10) == 100
    assert Total(37).resolve(1000, 20) == 37
    assert Total(37).resolve(37, 20) == 37


@pytest.mark.parametrize('budget, words', [
    (Ratio(.01), 'budget is 0 images of 1000'), (Total(0), 'raise it above 0'),
    (Total(-3), 'raise it above 0'), (IPC(0), 'raise it above 0'),
    (Total(1001), 'more than the real set has'), (IPC(101), 'budget is 1010 images'),
    (Ratio(200), 'lower it')])
def test_impossible_budgets(budget, words):
    with pytest.raises(ValueError, match=words):
        budget.resolve(1000, 10)


def test_built_from_configs():
    assert TASK_UTILS.build(dict(type='IPC', n=2)).resolve(100, 3) == 6
    assert TASK_UTILS.build(dict(type='mmdd.Ratio', percent=50)).resolve(5, 3) == 3


@given(st.integers(1, 10**6), st.floats(0, 100))
def test_ratio_is_the_nearest_image(num_images, percent):
    budget = Ratio(percent)
    exact = num_images * percent / 100
    if exact < .49:
        with pytest.raises(ValueError):
            budget.resolve(num_images, 1)
    elif exact >= .5:
        assert abs(budget.resolve(num_images, 1) - exact) <= .5 + 1e-6
