"""What a method and its refiners return is checked before anything is kept."""
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdd.engine.made_samples import check_samples, check_scores
from mmdd.structures import DistilledSample, DistillSlot

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SLOTS = [DistillSlot(i, i, (4, 4), np.array([i])) for i in (3, 5)]


def samples():
    return [DistilledSample(slot, IMAGE, target=slot.target) for slot in SLOTS]


def made(change):
    """What a loop gets of a method that returns changed samples."""
    return check_samples(SimpleNamespace(classes=tuple('abcdef')), SLOTS, change(samples()))


def changed(**parts):
    return lambda found: [found[0], replace(found[1], **parts)]


def test_samples_of_all_slots_pass():
    assert [s.slot.id for s in made(tuple)] == [3, 5]
    assert [s.path for s in made(changed(image=None, path='a.jpg'))] == ['', 'a.jpg']
    assert [s.failure for s in made(changed(image=None, failure='black'))] == ['', 'black']


@pytest.mark.parametrize('change, words', [
    (lambda found: None, 'got an object of type NoneType'),
    (lambda found: found[0], 'got an object of type DistilledSample'),
    (lambda found: found[:1], r'got samples of \[3\]'),
    (lambda found: found[::-1], r'here of \[3, 5\], got samples of \[5, 3\]'),
    (lambda found: [dict(image=IMAGE)] * 2, 'got a list of dict')])
def test_each_slot_has_one_sample_in_its_order(change, words):
    with pytest.raises(ValueError, match=words) as caught:
        made(change)
    assert str(caught.value).startswith('SimpleNamespace.distill_step must return a list with one')


@pytest.mark.parametrize('image, got', [
    (IMAGE / 255., r'float64 \(4, 4, 3\)'), (IMAGE.transpose(2, 0, 1), r'uint8 \(3, 4, 4\)'),
    (IMAGE[..., 0], r'uint8 \(4, 4\)'), (None, 'NoneType'),
    (torch.from_numpy(IMAGE), r'torch.uint8 \(4, 4, 3\)')])
def test_an_image_is_uint8_rgb(image, got):
    with pytest.raises(ValueError, match=rf'distill_step: the image .* of uint8 .*, got {got}$'):
        made(changed(image=image))
    late = samples()
    late[1].image = image
    with pytest.raises(ValueError, match=rf'model.refiners: the image of .*, got {got}$'):
        check_scores(late)


@pytest.mark.parametrize('parts, words', [
    (dict(labels=np.array([6])), 'the label has the class index 6'),
    (dict(bboxes=np.array([[0, 0, 9, 3]], np.float32)), r'box \[.*\] exceeds the 4x4 image'),
    (dict(bboxes=np.array([[0, np.nan, 3, 3]], np.float32)), 'exceeds the 4x4 image'),
    (dict(bboxes=np.array([[2, 0, 2, 3]], np.float32)), 'is empty'),
    (dict(mask=np.zeros((4, 5), np.uint8)), 'the mask is 5x4, its image 4x4')])
def test_a_label_fits_its_image(parts, words):
    with pytest.raises(ValueError, match=rf'^SimpleNamespace.distill_step: slot 5: .*{words}'):
        made(changed(**parts))


def test_numbers_of_refiners_become_plain_ones():
    found = samples()
    found[0].score, found[0].accepted = np.float32(.5), np.bool_(False)
    found[1].score, found[1].rank = torch.tensor(.25), 1
    check_scores(found)
    assert [s.score for s in found] == [.5, .25] and found[1].rank == 1
    assert all(type(value) is float for value in (found[0].score, found[1].score, found[1].rank))
    assert found[0].accepted is False and found[1].accepted is True
    found[1].fail('score not finite')
    check_scores(found)  # a refiner may find that an attempt failed


@pytest.mark.parametrize('name, value', [
    ('score', 'high'), ('score', True), ('judge_score', [.5]), ('rank', np.zeros(2)),
    ('accepted', 'no'), ('accepted', None), ('accepted', 1)])
def test_what_a_refiner_must_not_write(name, value):
    found = samples()
    setattr(found[1], name, value)
    writer = 'judge' if name == 'judge_score' else 'refiners'
    with pytest.raises(ValueError, match=rf'^model.{writer}: sample.{name} must be ') as caught:
        check_scores(found)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name, writer', [('score', 'refiners'), ('judge_score', 'judge')])
def test_scores_are_in_the_unit_interval(name, writer):
    for value, told in ((1.7, '1.7'), (-0.25, '-0.25'), (torch.tensor(100.), '100'), (2, '2')):
        found = samples()
        setattr(found[1], name, value)
        with pytest.raises(ValueError) as caught:
            check_scores(found)
        assert str(caught.value) == (
            f'model.{writer}: sample.{name} must be in [0, 1], got {told}; scale it to that '
            f'range (only sample.rank takes any number)')


def test_round_off_is_cut_and_a_rank_is_any_number():
    found = samples()
    found[0].score, found[0].judge_score, found[0].rank = 1 + 1e-7, -1e-7, -12.
    found[1].score = float('nan')  # the attempt fails, which is told elsewhere
    check_scores(found)
    assert (found[0].score, found[0].judge_score, found[0].rank) == (1., 0., -12.)
    assert found[1].score != found[1].score
