"""What a method of an author may return as a choice."""
import numpy as np
import pytest
import torch

from mmdd.utils.indices import check_indices


@pytest.mark.parametrize('picked', [
    [4, 0, 2], (4, 0, 2), np.array([4, 0, 2]), torch.tensor([4, 0, 2]), iter([4, 0, 2]),
    [np.int64(4), torch.tensor(0), 2]])
def test_whole_numbers_of_any_package(picked):
    found = check_indices('Mine.select', picked, 3, 5)
    assert found == [4, 0, 2] and all(type(i) is int for i in found)


@pytest.mark.parametrize('picked, words', [
    (None, 'got None'), (3, 'got 3'), ([0, 1], r'got 2 \(2 distinct\)$'),
    ([0, 1, 1], r'got 3 \(2 distinct\)$'), ([0, 1, 5], r'got 3 \(3 distinct\), 5 among them'),
    ([0, 1, -1], '-1 among them'), ([0., 1., 2.], "'0.0' of type float"),
    (np.array([.5, 1, 2]), "'0.5' of type float64"), (torch.tensor([.5, 1, 2]), 'of type Tensor'),
    ('abc', "'a' of type str"), ([[0], [1], [2]], r"'\[0\]' of type list"),
    (np.array([[0], [1], [2]]), 'of type ndarray')])
def test_anything_else_is_named(picked, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_indices('Mine.select', picked, 3, 5)
    text = str(caught.value)
    assert text.startswith('Mine.select must return 3 distinct indices in [0, 5)')
    assert '\n' not in text
