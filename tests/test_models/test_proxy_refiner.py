"""Equation 11: score, filter, relabel."""
import numpy as np
import pytest
import torch
from torch import nn

from mmdd.models import ProxyRefiner
from mmdd.models.refiners import images_to_tensor
from mmdd.structures import DistilledSample, DistillSlot


class FakeProxy(nn.Module):
    """Answers what a test says; counts its forward passes."""

    def __init__(self, scores, labels):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scores, self.labels, self.calls = scores, labels, 0

    def predict(self, images):
        self.calls += 1
        self.images = images
        return ['prediction'] * len(images)

    def score(self, images, samples, predictions):
        assert predictions == ['prediction'] * len(samples)
        return torch.tensor(self.scores)

    def relabel(self, images, predictions):
        return [dict(labels=np.array(label), bboxes=np.full((len(label), 4), 9.))
                for label in self.labels]


def refine(scores, labels, **kwargs):
    samples = []
    for i in range(len(scores)):
        slot = DistillSlot(i, i, (4, 6), np.array([8]), np.zeros((1, 4)))
        samples.append(DistilledSample(slot, np.full((4, 6, 3), i, np.uint8), labels=slot.labels,
                                       bboxes=slot.bboxes))
    proxy = FakeProxy(scores, labels)
    ProxyRefiner(**kwargs)(samples, proxy)
    assert proxy.calls == 1
    return samples, proxy


@pytest.mark.parametrize('threshold', [0., .1, .3, .75, .85, .9, 1.])
def test_the_threshold_is_inclusive(threshold):
    below = float(np.nextafter(np.float32(threshold), np.float32(-1)))
    samples, _ = refine([threshold, below, threshold], [[1], [1], [2, 3]], threshold=threshold)
    assert [s.accepted for s in samples] == [True, False, True]
    assert [s.score for s in samples] == pytest.approx([threshold, below, threshold], abs=1e-7)


def test_labels_of_the_proxy_replace_those_of_the_slot():
    samples, _ = refine([.9, .2], [[1, 2], [3]], threshold=.5)
    assert samples[0].labels.tolist() == [1, 2] and samples[0].bboxes.shape == (2, 4)
    assert [s.label_source for s in samples] == ['proxy', 'proxy']
    assert samples[0].slot.labels.tolist() == [8]


def test_nothing_detected_is_rejected_and_keeps_the_label_of_its_slot():
    samples, _ = refine([.9, .9], [[], [4]], threshold=0.)
    assert [s.accepted for s in samples] == [False, True]
    assert samples[0].labels.tolist() == [8] and samples[0].label_source == 'slot'
    assert samples[0].bboxes.shape == (1, 4)
    # However sure the proxy is that nothing is there, any other try is better.
    assert samples[0].score == 0.


def test_without_relabelling():
    samples, _ = refine([.9, .2], [[], [4]], threshold=.5, relabel=False)
    assert [s.accepted for s in samples] == [True, False]
    assert all(s.labels.tolist() == [8] and s.label_source == 'slot' for s in samples)


def test_images_reach_the_proxy_as_rgb():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 2] = [255, 51, 0]
    tensor = images_to_tensor([DistilledSample(None, image)] * 2)
    assert tensor.shape == (2, 3, 2, 3) and tensor.dtype == torch.float32
    assert tensor[0, :, 0, 2].tolist() == pytest.approx([1, .2, 0])


@pytest.mark.parametrize('threshold', [-.1, 1.01])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r'threshold must be in \[0, 1\]'):
        ProxyRefiner(threshold)
