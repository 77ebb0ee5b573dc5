import numpy as np
import pytest
import torch
from torch import nn

from mmdd.utils.finite import (
    bad_weight,
    check_features,
    check_weights,
    finite_rows,
    image_fault,
)

NAN, INF = float('nan'), float('inf')


def test_rows_with_nan_or_infinity():
    values = torch.zeros(4, 3, 2, 2)
    values[1, 2, 1, 0], values[3, 0, 0, 1] = NAN, -INF
    assert finite_rows(values).tolist() == [True, False, True, False]


@pytest.mark.parametrize('pixels, fault', [
    ([0, 0, 0], 'black'), ([0, 7, 3], 'black'), ([200, 200, 201], 'of one colour'),
    ([0, 8, 0], ''), ([200, 200, 202], '')])
def test_faults_of_images(pixels, fault):
    image = np.repeat(np.array(pixels, np.uint8), 3).reshape(1, 3, 3)
    assert image_fault(image) == fault


def test_one_colour_is_judged_channel_by_channel():
    image = np.full((4, 4, 3), (250, 10, 90), np.uint8)
    assert image_fault(image) == 'of one colour'
    image[2, 1, 2] = 40
    assert image_fault(image) == ''


def test_features_name_the_first_image():
    features = np.zeros((3, 5), np.float32)
    check_features(features, ['a.jpg', 'b.jpg', 'c.jpg'], 'do something')
    features[1, 4] = features[2, 0] = INF
    with pytest.raises(ValueError) as error:
        check_features(features, ['a.jpg', 'b.jpg', 'c.jpg'], 'do something')
    assert str(error.value) == ('b.jpg: its features are not finite (so in 2 of 3 of its batch); '
                                'do something')


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_weights_name_the_place_and_the_first_parameter(value):
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    check_weights(network, 'net.pth')
    with torch.no_grad():
        network[1].weight[1] = value
    with pytest.raises(ValueError, match=r"^net\.pth: .* the first of them is '1\.weight'; "):
        check_weights(network, 'net.pth')
    with pytest.raises(ValueError, match=r"'1\.weight'"):
        check_weights(network.state_dict(), 'net.pth')


def test_buffers_may_be_infinite_but_not_nan():
    network = nn.BatchNorm1d(2)
    network.register_buffer('mask', torch.full((2, 2), -INF))
    assert bad_weight(network) is None
    network.running_var[0] = NAN
    assert bad_weight(network) == 'running_var'
