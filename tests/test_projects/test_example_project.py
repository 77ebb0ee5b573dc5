"""The example that authors start from."""
import pytest
import torch
from project_files import load_module


def test_the_example_keeps_the_most_typical_images():
    coreset = object.__new__(load_module('example_project').NearestToMean)
    features = torch.tensor([[0., 0.], [5., 0.], [2., 1.], [2., -9.], [2., 0.]])
    # Their mean is (2.2, -1.6).
    assert coreset.select(features, [], 3) == [4, 2, 0]
    with pytest.raises(ValueError, match='NearestToMean selects by features'):
        load_module('example_project').NearestToMean()
