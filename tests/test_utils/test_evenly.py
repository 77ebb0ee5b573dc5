"""Some of many, from the first to the last."""
from mmdd.utils.evenly import evenly_chosen


def test_evenly_chosen():
    assert evenly_chosen(range(101), 5) == [0, 25, 50, 75, 100]
    assert evenly_chosen('ab', 5) == ['a', 'b']
