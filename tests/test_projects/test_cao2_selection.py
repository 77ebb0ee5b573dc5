"""CaO2's choice of images: those that the proxy gets right, the most confident first."""
import numpy as np
import pytest
import torch
from project_files import load_module

from mmdd.structures import DistilledSample, DistillSlot


class Pool(list):
    """Samples of class 1 whose images are their numbers."""

    def __init__(self, num, labels=(1, ), group=1):
        super().__init__(DistilledSample(DistillSlot(
            i, i, (2, 2), np.array(labels), group=group)) for i in range(num))

    def image(self, index):
        return np.full((2, 2, 3), index, np.uint8)


class Classifier(torch.nn.Module):
    """Gives the image ``i`` the i-th row of probabilities."""

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.tensor(rows))
        self.batches = []

    @torch.no_grad()
    def predict(self, images):
        self.batches.append(len(images))
        return [self.rows[int(i)].clone() for i in (images[:, 0, 0, 0] * 255).round()]


# Classes 0, 1, 2; class 1 is asked for: samples 1, 3, 4, 6 are correct.
ROWS = [[.6, .4, .0], [.1, .8, .1], [.0, .1, .9], [.0, 1., .0], [.3, .5, .2], [.55, .45, .0],
        [.2, .6, .2], [.5, .3, .2]]


@pytest.mark.parametrize('up_to, num, expected', [
    (10, 2, [3, 1]),  # the most confident of the correct ones
    (10, 4, [3, 1, 6, 4]),
    (10, 6, [3, 1, 6, 4, 5, 0]),  # then the wrong ones that come closest
    (1, 2, [4, 6]),  # a large budget takes the least confident ones
    (1, 6, [4, 6, 1, 3, 5, 0]), (2, 2, [3, 1])])
def test_cao2_keeps_what_the_proxy_gets_right(up_to, num, expected):
    stage = load_module('cao2_selection').ConfidenceSelection(
        confident_up_to=up_to, batch_size=3)
    classifier = Classifier(ROWS)
    distiller = type('Distiller', (), dict(proxy=classifier))
    assert stage.choose(Pool(8), num, distiller) == expected
    assert classifier.batches == [3, 3, 2]
    assert stage.slots(10) == 40 and stage.images(40) == 10


@pytest.mark.parametrize('labels, group', [((1, 2), 1), ((), 0), ((1, ), 0)])
def test_cao2_refuses_what_is_not_one_class_an_image(labels, group):
    stage = load_module('cao2_selection').ConfidenceSelection()
    stage.check([sample.slot for sample in Pool(2)])
    with pytest.raises(ValueError, match='class by class: slot 0') as caught:
        stage.check([sample.slot for sample in Pool(2, labels, group)])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('settings', [dict(pool=0), dict(batch_size=0), dict(confident_up_to=-1)])
def test_cao2_settings_out_of_range(settings):
    with pytest.raises(ValueError, match='ConfidenceSelection: pool and batch_size'):
        load_module('cao2_selection').ConfidenceSelection(**settings)
