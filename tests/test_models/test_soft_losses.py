"""Losses of soft labels: closed forms, and gradients by autograd."""
import math

import pytest
import torch
import torch.nn.functional as F

from mmdd.models.students.soft_losses import SoftLoss

STUDENT = torch.tensor([[1., 2., 3.], [0.5, 0., -1.]], dtype=torch.float32)
TEACHER = torch.tensor([[3., 1., 0.], [0., 2., 0.5]], dtype=torch.float32)
CLASSES = torch.tensor([2, 0])


def measured(classes=None, student=STUDENT, **kwargs):
    loss = SoftLoss(**kwargs)
    student = student.clone().requires_grad_()
    value = loss(student, loss.target(TEACHER), classes)
    value.backward()
    return value.item(), student.grad


def test_kl_is_cross_entropy_without_the_entropy():
    for t in (1., 4., 20.):
        p = F.softmax(TEACHER / t, 1)
        entropy = -(p * p.log()).sum(1).mean().item()
        (kl, one), (ce, other) = (measured(kind=kind, temperature=t) for kind in ('kl', 'ce'))
        assert ce - kl == pytest.approx(entropy, rel=1e-5)
        # d/dz is (q - p) / (B T), of both.
        expected = (F.softmax(STUDENT / t, 1) - p) / (2 * t)
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-8)
        assert measured(kind='ce', temperature=t, squared=True)[0] == pytest.approx(t * t * ce)


def test_cross_entropy_by_hand():
    # p = (1/2, 1/4, 1/4) against q = (1/4, 1/2, 1/4)
    loss = SoftLoss('ce', 1.)
    p, q = (torch.tensor([[math.log(a), math.log(b), 0.]]) for a, b in ((2, 1), (1, 2)))
    assert loss(q, loss.target(p)).item() == pytest.approx(
        0.5 * math.log(4) + 0.25 * math.log(2) + 0.25 * math.log(4), rel=1e-6)
    # As torch computes it of probabilities.
    assert loss(STUDENT, loss.target(TEACHER)).item() == pytest.approx(
        F.cross_entropy(STUDENT, F.softmax(TEACHER, 1)).item(), rel=1e-6)


def test_squared_error_with_hard_labels():
    """EDC's loss: neither part has a temperature."""
    gap = STUDENT - TEACHER
    value, grad = measured(CLASSES, kind='mse', temperature=20., hard_weight=0.025)
    q = F.softmax(STUDENT, 1)
    hard = -(q[0, 2].log() + q[1, 0].log()).item() / 2
    assert value == pytest.approx((gap**2).sum().item() / 6 + 0.025 * hard, rel=1e-6)
    expected = 2 * gap / 6 + 0.025 * (q - F.one_hot(CLASSES, 3)) / 2
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-7)
    assert measured(kind='mse')[0] == pytest.approx((gap**2).mean().item(), rel=1e-6)


@pytest.mark.parametrize('kind', ['kl', 'ce'])
def test_hard_labels_are_added_with_their_weight(kind):
    soft, one = measured(kind=kind, temperature=4.)
    both, two = measured(CLASSES, kind=kind, temperature=4., hard_weight=0.5)
    assert both - soft == pytest.approx(0.5 * F.cross_entropy(STUDENT, CLASSES).item(), rel=1e-5)
    expected = 0.5 * (F.softmax(STUDENT, 1) - F.one_hot(CLASSES, 3)) / 2
    torch.testing.assert_close(two - one, expected, rtol=1e-4, atol=1e-7)


def test_a_perfect_student():
    for kind in ('kl', 'mse'):
        value, grad = measured(student=TEACHER, kind=kind, temperature=2.)
        assert value == pytest.approx(0, abs=1e-7) and grad.abs().max() < 1e-7
    with pytest.raises(ValueError, match="one of kl, ce, mse, got 'l1'"):
        SoftLoss('l1')


def test_hard_labels_that_are_missing():
    loss = SoftLoss(hard_weight=0.5)
    with pytest.raises(ValueError, match='hard_weight needs images with hard labels'):
        loss(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))
